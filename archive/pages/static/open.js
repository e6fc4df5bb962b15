// Opens a link: the secret is read from the fragment, kept in memory only, and sent once by a button a person presses.
"use strict";
(() => {
  const box = document.getElementById("opening");
  const problem = box.querySelector("[data-problem]");
  const texts = JSON.parse(box.querySelector("[data-texts]").textContent);
  const search = location.search;
  let shareId = (location.pathname.match(/^\/s\/([^/]+)/) || [])[1] || "";
  let secret = "";

  const show = (step) => {
    for (const part of box.querySelectorAll("[data-step]")) part.hidden = part.dataset.step !== step;
    problem.textContent = "";
    const first = box.querySelector(`[data-step="${step}"] input`);
    if (first) first.focus();
  };

  const takeFragment = () => {
    const fragment = decodeURIComponent(location.hash.slice(1));
    if (!fragment) return;
    history.replaceState(null, "", location.pathname + search);
    if (fragment === "done") show("closed");
    else if (fragment !== "main") { secret = fragment; show("open"); }
  };

  const ask = async (path, body) => {
    problem.textContent = "";
    const buttons = box.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      const answer = await fetch(`/api/s/${encodeURIComponent(shareId)}/${path}`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
      });
      const told = await answer.json().catch(() => ({}));
      if (answer.ok) return told;
      const wait = answer.headers.get("Retry-After");
      problem.textContent = (texts[told.code] || told.message || box.dataset.failed) + (wait ? ` ${box.dataset.limit.replace("{seconds}", wait)}` : "");
    } catch {
      problem.textContent = box.dataset.failed;
    } finally {
      for (const button of buttons) button.disabled = false;
    }
    return null;
  };

  const goOn = (told) => {
    if (!told) return;
    if (told.next === "none") location.assign(`/s/${encodeURIComponent(shareId)}/images${search}`);
    else show(told.next);
  };

  box.addEventListener("click", async (event) => {
    if (event.target.dataset.action === "open") goOn(await ask("open", { secret }));
  });
  box.addEventListener("change", (event) => {
    const shown = event.target.dataset.show;
    if (shown) document.getElementById(shown).type = event.target.checked ? "text" : "password";
  });
  box.addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target, step = form.dataset.step;
    const fields = Object.fromEntries(new FormData(form));
    if (step === "typed") {
      shareId = fields.id.trim();
      goOn(await ask("open", { secret: fields.secret }));
    } else {
      const told = await ask(step, fields);
      if (told) goOn(told);
      else { const field = form.querySelector("input"); field.focus(); field.select(); }
    }
  });
  for (const link of document.querySelectorAll("[data-language]")) {
    link.addEventListener("click", () => { if (secret) link.hash = secret; });
  }
  addEventListener("hashchange", takeFragment);
  takeFragment();
  if (!secret && shareId && box.querySelector('[data-step="closed"]').hidden) {
    fetch(`/api/s/${encodeURIComponent(shareId)}/session`).then((answer) => answer.json()).then((told) => {
      if (told.open) location.replace(`/s/${encodeURIComponent(shareId)}/images${search}`);
      else if (!secret) show("incomplete");
    }).catch(() => show("incomplete"));
  }
})();
