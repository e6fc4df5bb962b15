// Forms and buttons that speak to the API: [data-api] says where, the fields say what, [data-then] says what follows.
"use strict";
(() => {
  const page = document.getElementById("main");
  const texts = JSON.parse(document.querySelector("[data-texts]").textContent);

  const english = (text) => (document.documentElement.lang === "en" ? text : ""); // the API speaks no other language

  const valueOf = (field) => {
    if (field.type === "checkbox") return field.checked;
    if (field.type === "number" || field.dataset.number !== undefined) return field.value === "" ? null : Number(field.value);
    return field.value;
  };
  const bodyOf = (form) => {
    const body = {};
    for (const field of form.querySelectorAll("[name]")) {
      if (field.disabled || field.closest("[hidden]") || field.closest("template")) continue;
      if (field.closest("[data-group]")) continue;
      if (field.dataset.list !== undefined) { body[field.name] ??= []; if (field.checked) body[field.name].push(field.value); }
      else if (field.type === "radio") { if (field.checked) body[field.name] = field.value; }
      else body[field.name] = valueOf(field);
    }
    for (const group of form.querySelectorAll("[data-group]")) {
      if (group.closest("[hidden]")) continue;
      const one = {};
      for (const field of group.querySelectorAll("[name]")) one[field.name] = valueOf(field);
      if (Object.values(one).some((value) => value !== "")) (body[group.dataset.group] ??= []).push(one);
    }
    return body;
  };
  const say = (where, text) => {
    let place = where.querySelector("[data-problem]");
    if (!place) { place = document.createElement("p"); place.className = "problem"; place.setAttribute("role", "alert"); place.dataset.problem = ""; where.append(place); }
    place.textContent = text;
  };
  const fill = (place, told) => {
    const own = (one) => { const list = one.closest("[data-each]"); return !list || list.contains(place); };
    for (const one of place.querySelectorAll("[data-fill]")) {
      if (!own(one)) continue;
      const value = one.dataset.fill.split(".").reduce((from, key) => (from ?? {})[key], told);
      if (one.tagName === "IMG") { if (value) one.src = `data:image/svg+xml,${encodeURIComponent(value)}`; }
      else if (one.tagName === "INPUT") one.value = value ?? "";
      else if (one.dataset.file !== undefined) { if (value) one.href = URL.createObjectURL(new Blob([Uint8Array.from(atob(value), (character) => character.charCodeAt(0))], { type: "application/pdf" })); }
      else if (one.tagName === "A") { one.href = value ?? ""; if (one.dataset.text !== undefined) one.textContent = value ?? ""; }
      else one.textContent = value ?? "";
    }
    for (const one of place.querySelectorAll("[data-lang]")) if (own(one)) one.lang = one.dataset.lang.split(".").reduce((from, key) => (from ?? {})[key], told) ?? "";
    for (const one of place.querySelectorAll("[data-if]")) if (own(one)) one.hidden = !one.dataset.if.split(".").reduce((from, key) => (from ?? {})[key], told);
  };
  const reveal = (id, told) => {
    const place = document.getElementById(id);
    place.hidden = false;
    for (const list of place.querySelectorAll("[data-each]")) {
      list.replaceChildren(...told[list.dataset.each].map((one) => {
        const copy = document.getElementById(list.dataset.template).content.firstElementChild.cloneNode(true);
        fill(copy, one);
        return copy;
      }));
    }
    fill(place, told);
    place.focus();
    place.scrollIntoView({ block: "start" });
  };
  const refresh = async (which = "[data-refresh]") => {
    const answer = await fetch(location.href).catch(() => null);
    if (!answer || !answer.ok) { location.reload(); return; }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!fresh.querySelector("[data-refresh]")) { location.reload(); return; }
    for (const part of document.querySelectorAll(which)) {
      const twin = fresh.getElementById(part.id);
      if (!twin || twin.innerHTML === part.innerHTML) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement.dataset.api : undefined;
      part.replaceWith(document.adoptNode(twin));
      const same = focused && twin.querySelector(`[data-api="${CSS.escape(focused)}"]`);
      if (same) same.focus();
      else if (focused) { twin.tabIndex = -1; twin.focus({ preventScroll: true }); }
    }
    wire();
  };
  let busy = 0;
  const send = async (where, body) => {
    if (where.dataset.confirm && !confirm(where.dataset.confirm)) return;
    busy++;
    const buttons = where.matches("button") ? [where] : where.querySelectorAll("button");
    const near = where.matches("button") ? where.parentElement : where;
    for (const button of buttons) button.disabled = true;
    say(near, where.dataset.busy || "");
    try {
      const method = where.dataset.method || "POST";
      const answer = await fetch(where.dataset.api, { method, headers: { "Content-Type": "application/json" }, body: method === "DELETE" ? undefined : JSON.stringify(body) });
      const told = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
      if (!answer.ok) {
        if (answer.status === 401) { location.reload(); return; }
        say(near, texts[told.parameter] || texts[told.code] || english(told.message) || texts.other);
        const field = told.parameter && where.querySelector(`[name="${CSS.escape(told.parameter)}"]`);
        if (field) { field.setAttribute("aria-invalid", "true"); field.focus(); }
        return;
      }
      say(near, "");
      if (where.dataset.reveal) reveal(where.dataset.reveal, told);
      const then = where.dataset.then;
      if (then === "refresh") await refresh();
      else if (then === "follow") location.assign(told.url);
      else if (then === "reload") location.reload();
      else if (then === "hide") where.hidden = true;
      else if (then) location.assign(then);
    } catch {
      say(near, texts.failed);
    } finally {
      busy--;
      for (const button of buttons) button.disabled = false;
    }
  };
  const wire = () => {
    for (const choice of document.querySelectorAll("[data-chooses]:checked")) choose(choice);
  };
  const choose = (field) => {
    for (const part of document.querySelectorAll(`[data-when^="${field.name}:"]`)) {
      part.hidden = !part.dataset.when.split(":")[1].split(",").includes(field.value);
    }
  };

  page.addEventListener("submit", (event) => {
    if (!event.target.dataset.api) return;
    event.preventDefault();
    for (const field of event.target.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    send(event.target, bodyOf(event.target));
  });
  page.addEventListener("changed", () => refresh());
  page.addEventListener("change", (event) => { if (event.target.dataset.chooses !== undefined) choose(event.target); });
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.api) await send(button, button.dataset.body ? JSON.parse(button.dataset.body) : {});
    if (button.dataset.add) button.before(document.getElementById(button.dataset.add).content.firstElementChild.cloneNode(true));
    if (button.dataset.copy !== undefined) {
      const field = button.parentElement.querySelector("input");
      field.select();
      await navigator.clipboard.writeText(field.value).catch(() => document.execCommand("copy"));
      button.textContent = button.dataset.copy;
    }
    if (button.dataset.pass !== undefined && navigator.share) await navigator.share({ url: button.closest("[data-link]").querySelector("input").value }).catch(() => null);
    if (button.dataset.print !== undefined) {
      const sheet = button.closest(".sheet");
      for (const other of document.querySelectorAll(".sheet")) other.classList.toggle("printed", other === sheet);
      print();
    }
  });
  if (!navigator.share) document.documentElement.classList.add("no-share");
  wire();
  const every = Number(page.querySelector("[data-every]")?.dataset.every || 0);
  if (every) setInterval(() => { if (page.querySelector("[data-every]") && !document.hidden && !busy) refresh("[data-refresh=live]"); }, every * 1000);
})();
