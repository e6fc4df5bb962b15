// Import a disc: look at what was chosen, show it, send what is ticked a few files at a time, and go on after the tab was
// killed. The import's id is all that is kept in the browser; what was sent already is asked of the server.
"use strict";
(() => {
  const box = document.getElementById("import"), api = box.dataset.api, kept = `lightbox-import ${api}`;
  const texts = JSON.parse(box.querySelector("[data-texts]").textContent), language = document.documentElement.lang;
  const HEADS = [8192, 65536, 1 << 20], LIST_FILES = 200, LIST_BYTES = 2 << 20, PIECE_BYTES = 4 << 20, WHOLE_BYTES = 8 << 20;
  const PARALLEL = 4, TRIES = 6, SAY_EVERY_MS = 2000;
  const part = (name) => box.querySelector(`[data-part="${name}"]`);
  let importId = localStorage.getItem(kept), entries = [], known = new Map(), overview = null, sending = false;

  const say = (key, values = {}) => (texts[key] ?? key).replace(/{(\w+)}/g, (whole, name) => values[name] ?? whole);
  const element = (name, text = "", attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const day = (date) => {
    const found = /^(\d{4})(\d\d)(\d\d)$/.exec(date);
    return found ? new Date(Date.UTC(found[1], found[2] - 1, found[3])).toLocaleDateString(language, { timeZone: "UTC", dateStyle: "medium" }) : date;
  };
  const show = (...names) => {
    for (const one of box.querySelectorAll("[data-part]")) one.hidden = !names.includes(one.dataset.part);
  };
  const complain = (text) => { box.querySelector("[data-problem]").textContent = text; };
  const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });
  const blocksOf = (list, length) => Array.from({ length: Math.ceil(list.length / length) }, (_, i) => list.slice(i * length, (i + 1) * length));

  class Refusal extends Error {
    constructor(status, told) {
      super(texts[told.code] || texts[told.parameter] || told.message || texts.failed);
      this.status = status;
      this.code = told.code;
    }
  }
  // A lost connection and a busy server are waited for; everything else is told.
  const ask = async (method, path, body, headers = {}) => {
    for (let round = 1; ; round++) {
      let answer = null;
      try {
        const json = body !== undefined && !(body instanceof Blob);
        answer = await fetch(api + path, { method, body: json ? JSON.stringify(body) : body, headers: json ? { "Content-Type": "application/json", ...headers } : headers });
      } catch (error) { if (round >= TRIES) throw new Refusal(0, {}); }
      if (answer && answer.ok) return answer.status === 204 ? {} : answer.json();
      if (answer && (![500, 502, 503, 504].includes(answer.status) || round >= TRIES)) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
      await wait(Math.min(500 * 2 ** round, 15000));
    }
  };

  const asEntry = (file, path) => ({ path, size: file.size, problem: "", head: async (length) => file.slice(0, length), blob: async () => file });
  const unzipped = async (file) => {
    try { return await readZip(file); } catch { return [{ ...asEntry(file, file.name), problem: "damaged-zip" }]; }
  };
  const gather = async (files) => {
    const found = [];
    for (const { file, path } of files) {
      if (path.includes("/") || !/\.zip$/i.test(path)) found.push(asEntry(file, path));
      else found.push(...await unzipped(file));
    }
    const unique = new Map(found.filter((one) => one.path.length <= 1024).map((one) => [one.path, one]));
    return [...unique.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  };
  const walk = async (entry, found) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => { entry.file(resolve, reject); }).catch(() => null);
      if (file) found.push({ file, path: entry.fullPath.replace(/^\//, "") });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); }).catch(() => []);
      if (!some.length) return;
      for (const one of some) await walk(one, found);
    }
  };

  const base64 = (buffer) => {
    const bytes = new Uint8Array(buffer);
    let text = "";
    for (let start = 0; start < bytes.length; start += 8192) text += String.fromCharCode(...bytes.subarray(start, start + 8192));
    return btoa(text);
  };
  const described = async (entry, length) => {
    if (entry.problem) return { path: entry.path, size: entry.size, problem: entry.problem };
    try {
      return { path: entry.path, size: entry.size, head: base64(await (await entry.head(length)).arrayBuffer()) };
    } catch {
      return { path: entry.path, size: entry.size, problem: entry.path.includes(".zip/") ? "damaged-zip" : "unreadable" };
    }
  };
  const lookAt = async (wanted) => {
    let left = wanted, done = 0;
    for (const length of HEADS) {
      const more = [];
      for (const some of blocksOf(left, Math.max(1, Math.min(LIST_FILES, Math.floor(LIST_BYTES / length))))) {
        const told = await ask("POST", `/${importId}/files`, { files: await Promise.all(some.map((one) => described(one, length))) });
        told.files.forEach((one, i) => { if (one.more) more.push(some[i]); else { known.set(one.path, one); done++; } });
        moved(done, wanted.length, "looking");
      }
      left = more;
    }
  };

  let said = 0;
  const moved = (done, total, key) => {
    const bar = box.querySelector("progress");
    bar.max = Math.max(total, 1);
    bar.value = done;
    bar.textContent = `${done} / ${total}`;
    part("progress").querySelector("[data-count]").textContent = say(key, { done, total });
    if (Date.now() - said < SAY_EVERY_MS && done < total) return;
    said = Date.now();
    part("progress").querySelector("[data-said]").textContent = say(key, { done, total });
  };

  const sendFile = async (entry, number) => {
    const blob = await entry.blob(), digest = { "Repr-Digest": `sha-256=:${await sha256Of(blob)}:` };
    let offset = blob.size <= WHOLE_BYTES ? 0 : (await ask("GET", `/${importId}/files/${number}`)).offset;
    for (let round = 1; ; round++) {
      try {
        for (;;) {
          const end = offset === 0 && blob.size <= WHOLE_BYTES ? blob.size : Math.min(blob.size, offset + PIECE_BYTES);
          const told = await ask("PUT", `/${importId}/files/${number}?offset=${offset}`, blob.slice(offset, end), digest);
          if (told.state !== "waiting") return told;
          offset = told.offset;
        }
      } catch (error) {
        if (error.status !== 409 || round >= TRIES) throw error;
        const told = await ask("GET", `/${importId}/files/${number}`);
        if (told.state !== "waiting") return told;
        offset = told.offset;
      }
    }
  };
  const sendAll = async (wanted) => {
    const queue = [...wanted];
    let done = 0;
    const worker = async () => {
      for (let entry = queue.shift(); entry; entry = queue.shift()) {
        const file = known.get(entry.path);
        try {
          file.state = (await sendFile(entry, file.number)).state;
        } catch (error) {
          if (error instanceof Refusal) { queue.length = 0; throw error; }
          file.state = "unreadable"; // the drive was taken away, or the ZIP is damaged there: the others go on
        }
        moved(++done, wanted.length, "sending");
      }
    };
    if (!wanted.length) return;
    moved(0, wanted.length, "sending");
    const ended = await Promise.allSettled(Array.from({ length: PARALLEL }, worker));
    const failed = ended.find((one) => one.status === "rejected");
    if (failed) throw failed.reason;
  };

  const take = async (files) => {
    if (sending) return;
    sending = true;
    complain("");
    show("progress");
    try {
      entries = await gather(files);
      if (!entries.length) throw new Refusal(0, { message: texts.nothing });
      known = new Map();
      if (importId) await recall(); else { importId = (await ask("POST", "", {})).id; localStorage.setItem(kept, importId); }
      const fresh = entries.filter((one) => known.get(one.path)?.size !== one.size);
      moved(0, fresh.length, "looking");
      await lookAt(fresh);
      await sendAll(entries.filter((one) => known.get(one.path).kind === "directory" && known.get(one.path).state === "waiting"));
      overview = await ask("GET", `/${importId}`);
      sending = false;
      if (overview.chosen && !fresh.length) await send(); else preview();
    } catch (error) { stop(error); } finally { sending = false; }
  };
  const recall = async () => {
    const { files } = await ask("GET", `/${importId}/files`);
    const there = new Map(files.map((one) => [one.path, one]));
    if (files.length && !entries.some((one) => there.get(one.path)?.size === one.size)) throw new Refusal(0, { message: texts.other_files });
    known = there;
  };
  const stop = (error) => {
    show("choose", ...(importId ? ["unfinished"] : []));
    if (error.status === 404 && importId) { forget(); show("choose"); }
    complain(error.status === 401 ? texts.signed_out : error instanceof Refusal ? error.message : texts.failed);
    if (!(error instanceof Refusal)) throw error;
  };
  const forget = () => { localStorage.removeItem(kept); importId = null; known = new Map(); };

  const ticked = () => [...box.querySelectorAll("[data-study]:checked")];
  const checkTicks = () => {
    const patients = new Set(ticked().map((one) => one.dataset.patient));
    const several = part("preview").querySelector("[data-several]"), same = several.querySelector("input");
    several.hidden = patients.size < 2;
    part("preview").querySelector("[data-send]").disabled = !patients.size || (patients.size > 1 && !same.checked);
  };
  const studyRow = (patient, study, alone) => {
    const row = element("tr"), first = element("td"), label = element("label", "", { class: "check" });
    const tick = element("input", "", { type: "checkbox", "data-study": study.study_uid, "data-patient": patient.key });
    tick.checked = overview.chosen ? study.chosen : alone;
    const named = element("span");
    named.append(element("strong", study.description || say("study")), element("br"), day(study.date));
    label.append(tick, named);
    first.append(label);
    if (!study.images && study.reports) first.append(element("p", say("report_only"), { class: "notice" }));
    const series = element("td"), list = element("ul", "", { class: "plain" });
    for (const one of study.series) list.append(element("li", `${[one.modality, one.description || one.number].filter(Boolean).join(" · ")} (${one.count})`));
    series.append(list);
    row.append(first, series, element("td", String(study.images), { class: "number" }));
    return row;
  };
  const preview = () => {
    const place = part("preview").querySelector("[data-patients]"), alone = overview.patients.length === 1;
    place.replaceChildren(...overview.patients.map((patient) => {
      const table = element("table", "", { class: "preview" }), head = element("tr"), body = element("tbody"), top = element("thead");
      const about = [patient.name || say("no_name"), patient.patient_id && say("id", { id: patient.patient_id }), patient.birth_date && say("born", { date: day(patient.birth_date) })];
      table.append(element("caption", about.filter(Boolean).join(" · ")));
      for (const key of ["column_study", "column_series", "column_images"]) head.append(element("th", say(key), { scope: "col" }));
      top.append(head);
      body.append(...patient.studies.map((study) => studyRow(patient, study, alone)));
      table.append(top, body);
      return table;
    }));
    part("preview").querySelector("[data-choice]").hidden = !overview.needs_choice;
    part("preview").querySelector("[data-notes]").replaceChildren(...notes(overview));
    part("preview").querySelector("form").hidden = !overview.patients.length;
    part("preview").querySelector("[data-none]").hidden = overview.patients.length > 0;
    show("preview");
    checkTicks();
    part("preview").querySelector("h2").focus();
  };
  const names = (title, list) => {
    const details = element("details"), items = element("ul");
    details.append(element("summary", title), items);
    for (const one of list) items.append(element("li", one));
    return details;
  };
  const notes = (told) => {
    const found = [];
    if (told.counts.skipped) found.push(element("p", say("skipped", { count: told.counts.skipped })));
    if (told.counts.refused) found.push(names(say("refused", { count: told.counts.refused }), told.refused.map((one) => `${one.path}: ${texts[`reason_${one.code}`] || one.message}`)));
    if (told.counts.missing) found.push(names(say("missing", { count: told.counts.missing }), told.missing));
    return found;
  };

  const send = async () => {
    if (sending) return;
    sending = true;
    complain("");
    moved(0, entries.length, "sending");
    show("progress");
    part("progress").querySelector("h2").focus();
    try {
      const chosen = new Set();
      if (!overview.chosen || part("preview").querySelector("[data-study]")) {
        const studies = ticked().map((one) => ({ patient: one.dataset.patient, study_uid: one.dataset.study }));
        const id = part("preview").querySelector("[name=patient_id]"), same = part("preview").querySelector("[data-several] input");
        await ask("POST", `/${importId}/choice`, { studies, same_person: same.checked, ...(id ? { patient_id: id.value } : {}) });
      }
      const { files } = await ask("GET", `/${importId}/files`);
      for (const one of files) { known.set(one.path, one); if (one.chosen) chosen.add(one.path); }
      await sendAll(entries.filter((one) => chosen.has(one.path) && known.get(one.path).state === "waiting"));
      summary(await ask("POST", `/${importId}/finish`, {}));
      forget();
    } catch (error) { stop(error); } finally { sending = false; }
  };
  const summary = (told) => {
    const { counts } = told, list = part("summary").querySelector("[data-lines]"), lines = [];
    const line = (key, values) => lines.push(element("p", say(key, values)));
    line("sum_images", { count: counts.image });
    if (counts.report) line("sum_reports", { count: counts.report });
    if (counts.other) line("sum_others", { count: counts.other });
    line("sum_new", { new: counts.stored, there: counts.there });
    if (counts.waiting) line("sum_waiting", { count: counts.waiting });
    if (counts.left_out) line("sum_left_out", { count: counts.left_out });
    list.replaceChildren(...lines, ...notes(told));
    for (const details of list.querySelectorAll("details")) details.open = true;
    if (told.lacks.length) {
      const notice = element("div", "", { class: "notice", role: "note" }), items = element("ul");
      notice.append(element("strong", say("lack_heading")), items);
      for (const one of told.lacks) items.append(element("li", say(`lack_${one.lack}`, one)));
      list.append(notice);
    }
    show("summary");
    part("summary").querySelector("h2").focus();
  };

  const dropped = async (event) => {
    const found = [], items = [...event.dataTransfer.items].map((one) => one.webkitGetAsEntry && one.webkitGetAsEntry()).filter(Boolean);
    if (items.length) for (const one of items) await walk(one, found);
    else for (const file of event.dataTransfer.files) found.push({ file, path: file.name });
    await take(found);
  };
  const over = (event) => { event.preventDefault(); box.classList.add("over"); };
  box.addEventListener("dragover", over);
  box.addEventListener("dragleave", () => box.classList.remove("over"));
  box.addEventListener("drop", (event) => { event.preventDefault(); box.classList.remove("over"); if (!part("choose").hidden) dropped(event); });
  for (const input of box.querySelectorAll("input[type=file]")) {
    box.querySelector(`[data-opens="${input.id}"]`).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      const files = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
      input.value = "";
      take(files);
    });
  }
  box.addEventListener("change", (event) => { if (event.target.type === "checkbox") checkTicks(); });
  part("preview").querySelector("form").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  for (const button of box.querySelectorAll("[data-give-up]")) {
    button.addEventListener("click", async () => {
      await ask("DELETE", `/${importId}`).catch(() => null);
      forget();
      part("preview").querySelector("[data-patients]").replaceChildren();
      complain("");
      show("choose");
    });
  }
  const localId = box.querySelector("[name=patient_id]");
  if (localId) localId.addEventListener("change", async () => {
    const place = box.querySelector("[data-local]");
    place.textContent = "";
    if (!localId.value.trim()) return;
    const told = await ask("POST", "/patient", { patient_id: localId.value }).catch(() => ({ patients: [] }));
    const known = told.patients.map((one) => say("local", { name: one.name, date: day(one.birth_date), count: one.study_count }));
    place.textContent = known.join("; ") || say("local_nobody");
  });
  addEventListener("beforeunload", (event) => { if (sending) event.preventDefault(); });

  const begin = async () => {
    show("choose");
    if (!window.DecompressionStream) box.querySelector("[data-no-zip]").hidden = false;
    if (!importId) return;
    const told = await ask("GET", `/${importId}`).catch((error) => (error.status === 404 ? { finished: true } : {}));
    if (told.finished) { forget(); return; }
    show("choose", "unfinished");
  };
  begin();
})();
