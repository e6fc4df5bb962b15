// Opens a link, or signs in, step by step. A link's secret is read from the fragment, kept in memory only, and sent when
// a person presses the button. What each step is answered decides which comes next.
"use strict";
(() => {
  const box = document.getElementById("opening");
  const problem = box.querySelector("[data-problem]");
  const texts = JSON.parse(box.querySelector("[data-texts]").textContent);
  const search = location.search;
  let kind = box.dataset.kind, secret = "", told = {};
  let id = (location.pathname.match(/^\/[so]\/([^/]+)/) || [])[1] || "";

  const base = () => (kind === "staff" ? "/api/staff" : `/api/${kind}/${encodeURIComponent(id)}`);
  const goal = () => ({ s: `/s/${encodeURIComponent(id)}/images`, o: `/o/${encodeURIComponent(id)}/home`, staff: "/desk" })[kind] + search;
  const part = (step) => box.querySelector(`[data-step="${step}"]`);

  const show = (step) => {
    for (const one of box.querySelectorAll("[data-step]")) one.hidden = one.dataset.step !== step;
    problem.textContent = "";
    const here = part(step);
    for (const only of here.querySelectorAll("[data-only]")) only.hidden = only.dataset.only !== kind;
    for (const place of here.querySelectorAll("[data-told]")) place.textContent = told[place.dataset.told] ?? "";
    for (const image of here.querySelectorAll("img[data-qr]")) if (told.qr) image.src = `data:image/svg+xml,${encodeURIComponent(told.qr)}`;
    for (const button of here.querySelectorAll("[data-channel]")) {
      const contact = (told.contacts || {})[button.dataset.channel];
      button.hidden = kind === "o" ? !contact : button.dataset.channel !== "";
      if (contact) button.textContent = button.dataset.text.replace("{contact}", contact);
    }
    const first = here.querySelector("input:not([hidden])");
    if (first) first.focus();
  };

  const english = (text) => (document.documentElement.lang === "en" ? text : ""); // the API speaks no other language
  const complain = (answer, body) => {
    const wait = answer.headers.get("Retry-After");
    const word = texts[body.code] || texts[body.parameter] || english(body.message) || texts.other;
    problem.textContent = word + (wait ? ` ${box.dataset.limit.replace("{seconds}", wait)}` : "");
  };
  const ask = async (path, body) => {
    problem.textContent = "";
    const buttons = box.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await fetch(`${base()}/${path}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
      const said = await answer.json().catch(() => ({}));
      if (answer.ok) return said;
      complain(answer, said);
      return answer.status === 404 ? undefined : null;
    } catch {
      problem.textContent = box.dataset.failed;
    } finally {
      for (const button of buttons) button.disabled = false;
    }
    return null;
  };
  const sendCode = async (channel) => {
    const said = await ask("code/send", { channel, language: document.documentElement.lang });
    if (!said) return;
    const sent = box.querySelector("[data-sent]");
    sent.textContent = sent.dataset.sent.replace("{contact}", said.sent_to);
    part("code").querySelector("input").focus();
  };
  const goOn = async (said) => {
    if (!said) return;
    told = { ...told, ...said };
    if (said.next === "none") { location.assign(goal()); return; }
    show(said.next);
    // A patient has asked for the code by opening the own link; the other way stays one press away.
    if (kind === "o" && said.next === "code") await sendCode(said.contacts.sms ? "sms" : "email");
  };

  const passkey = async () => {
    const options = await ask("passkey/options", {});
    if (!options) return;
    let credential;
    try {
      credential = await answerPasskey(options);
    } catch {
      problem.textContent = texts["wrong-passkey"];
      return;
    }
    goOn(await ask("passkey", { credential }));
  };

  const takeFragment = () => {
    const fragment = decodeURIComponent(location.hash.slice(1));
    if (!fragment) return;
    history.replaceState(null, "", location.pathname + search);
    if (fragment === "done") show("closed");
    else if (fragment !== "main") { secret = fragment; show("open"); }
  };

  box.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.action === "open") goOn(await ask("open", { secret }));
    if (button.dataset.action === "passkey") await passkey();
    if (button.dataset.action === "sso") { const said = await ask("sso", {}); if (said) location.assign(said.url); }
    if (button.dataset.shows) show(button.dataset.shows === "instead" ? told.instead : button.dataset.shows);
    if (button.dataset.channel !== undefined) await sendCode(button.dataset.channel);
  });
  box.addEventListener("change", (event) => {
    const shown = event.target.dataset.show;
    if (shown) document.getElementById(shown).type = event.target.checked ? "text" : "password";
  });
  box.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target, fields = Object.fromEntries(new FormData(form));
    if (form.dataset.step === "typed") {
      id = fields.id.trim();
      secret = fields.secret;
      kind = "s";
      let said = await ask("open", { secret });
      if (said === undefined) { kind = "o"; said = await ask("open", { secret }); }
      goOn(said);
      return;
    }
    const said = await ask(form.dataset.path, fields);
    if (said && said.asked) show("asked");
    else if (said) goOn(said);
    else { const field = form.querySelector("input"); field.focus(); field.select(); }
  });
  for (const link of document.querySelectorAll("[data-language]")) {
    link.addEventListener("click", () => { if (secret) link.hash = secret; });
  }
  if (kind === "staff") { show("sign-in"); return; }
  addEventListener("hashchange", takeFragment);
  takeFragment();
  if (!secret && id && part("closed") && part("closed").hidden) {
    fetch(`${base()}/session`).then((answer) => answer.json()).then((said) => {
      if (said.open) location.replace(goal());
      else if (!secret) show("incomplete");
    }).catch(() => show("incomplete"));
  }
})();
