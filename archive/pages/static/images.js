// The quick look: pictures drawn by the server, slid through by slider, keys, wheel or finger, with the next ones fetched ahead.
"use strict";
(() => {
  const KEPT = 80, AHEAD = 6, IDLE_MS = 28 * 60000, END_MS = 30 * 60000;
  const shareId = document.getElementById("share").dataset.share;
  let used = Date.now();

  const leave = (fragment) => location.replace(`/s/${shareId}${location.search}${fragment}`);
  const checkSession = async () => {
    const answer = await fetch(`/api/s/${shareId}/session`).catch(() => null);
    if (answer && answer.ok && !(await answer.json()).open) leave("");
    return answer !== null;
  };

  for (const look of document.querySelectorAll("[data-look]")) {
    const { root, series } = JSON.parse(look.querySelector("[data-pictures]").textContent);
    const stage = look.querySelector("[data-stage]"), slider = look.querySelector("[data-slider]");
    const place = look.querySelector("[data-place]"), broken = look.querySelector("[data-broken]");
    let picture = look.querySelector("[data-picture]"), current = 0, number = slider.value - 1, wanted = "", preset = "", direction = 1;
    const alt = picture.dataset.alt, kept = new Map();
    const side = () => Math.min(stage.clientWidth, stage.clientHeight || stage.clientWidth) * devicePixelRatio > 640 ? 1024 : 512;

    const address = (index) => `${root}${series[current].pictures[index]}/rendered?viewport=${side()},${side()}${preset ? `&window=${preset}` : ""}`;
    const fetched = (url) => {
      let image = kept.get(url);
      if (image) kept.delete(url);
      else { image = new Image(); image.decoding = "async"; image.draggable = false; image.src = url; }
      kept.set(url, image);
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
      return image;
    };
    const put = (image, url, index) => {
      if (wanted !== url) return;
      broken.hidden = true;
      image.alt = alt.replace("{number}", index + 1).replace("{count}", series[current].pictures.length).replace("{title}", series[current].title);
      if (picture !== image) { picture.replaceWith(image); picture = image; }
      for (let step = 1; step <= AHEAD; step++) {
        const next = index + step * direction;
        if (next >= 0 && next < series[current].pictures.length) fetched(address(next));
      }
    };
    const go = (index) => {
      const count = series[current].pictures.length, next = Math.max(0, Math.min(count - 1, index));
      if (next !== number) direction = next > number ? 1 : -1;
      number = next;
      used = Date.now();
      slider.value = number + 1;
      place.value = `${number + 1} / ${count}`;
      slider.setAttribute("aria-valuetext", place.value);
      const url = wanted = address(number), image = fetched(url), index_ = number;
      if (image.complete && image.naturalWidth) put(image, url, index_);
      else {
        image.onload = () => put(image, url, index_);
        image.onerror = () => { kept.delete(url); if (wanted === url) { broken.hidden = false; checkSession(); } };
      }
    };

    slider.addEventListener("input", () => go(slider.value - 1));
    stage.addEventListener("wheel", (event) => {
      if (event.ctrlKey || series[current].pictures.length < 2) return;
      event.preventDefault();
      go(number + Math.sign(event.deltaY));
    }, { passive: false });
    stage.addEventListener("keydown", (event) => {
      const to = { ArrowDown: number + 1, ArrowRight: number + 1, ArrowUp: number - 1, ArrowLeft: number - 1,
        PageDown: number + 10, PageUp: number - 10, Home: 0, End: series[current].pictures.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      go(to);
    });
    let held = null;
    stage.addEventListener("pointerdown", (event) => { if (event.isPrimary) held = { x: event.clientX, y: event.clientY, from: number, mouse: event.pointerType === "mouse" }; });
    stage.addEventListener("pointermove", (event) => {
      if (!held || !event.isPrimary) return;
      const moved = held.mouse ? event.clientY - held.y : event.clientX - held.x;
      const step = Math.max(4, Math.min(24, stage.clientWidth / series[current].pictures.length));
      go(held.from + Math.round(moved / step));
    });
    for (const end of ["pointerup", "pointercancel", "pointerleave"]) stage.addEventListener(end, () => { held = null; });
    stage.addEventListener("dragstart", (event) => event.preventDefault());

    look.querySelector("[data-presets]")?.addEventListener("change", (event) => { preset = encodeURIComponent(event.target.value); go(number); });
    for (const button of look.querySelectorAll("[data-series]")) {
      button.addEventListener("click", () => {
        look.querySelector('[data-series][aria-current="true"]')?.removeAttribute("aria-current");
        button.setAttribute("aria-current", "true");
        current = Number(button.dataset.series);
        slider.max = series[current].pictures.length;
        slider.disabled = series[current].pictures.length < 2;
        direction = 1;
        number = 0;
        go(Math.floor(series[current].pictures.length / 2));
      });
    }
    picture.addEventListener("error", () => { broken.hidden = false; checkSession(); });
    const ready = () => { for (let step = 1; step <= AHEAD && number + step < series[0].pictures.length; step++) fetched(address(number + step)); };
    if (picture.complete) ready(); else picture.addEventListener("load", ready, { once: true });
  }

  if (document.querySelector("[data-waits]")) setInterval(() => { if (!document.hidden) location.reload(); }, 5000); // nothing to look at yet
  document.querySelector('[data-action="done"]').addEventListener("click", async () => {
    await fetch(`/api/s/${shareId}/session`, { method: "DELETE" }).catch(() => null);
    leave("#done");
  });
  const idle = document.querySelector("[data-idle]");
  document.querySelector('[data-action="stay"]').addEventListener("click", async () => { used = Date.now(); idle.close(); await checkSession(); });
  setInterval(() => {
    const quiet = Date.now() - used;
    if (quiet > END_MS) checkSession().then((reached) => { if (reached) leave(""); });
    else if (quiet > IDLE_MS && !idle.open) idle.showModal();
  }, 5000);
})();
