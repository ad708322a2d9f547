// The controls: a family, a size, and, where the page is served live, any other size.
"use strict";
(() => {
  const { $, data, state, whole } = Atlas;
  const slider = $("k");
  let [drawn, written] = [null, -Infinity];

  function show() {
    const at = data.stops.indexOf(state.k);
    if (at >= 0) slider.value = at;
    slider.setAttribute("aria-valuetext", `k = ${state.k}`);
    $("k-out").textContent = whole(state.k);
    $("k-less").disabled = at === 0;
    $("k-more").disabled = at === data.stops.length - 1;
    $(`family-${state.family}`).checked = true;
    Atlas.showMap();
    Atlas.showPoint();
    Atlas.showArcs();
    if (state.k !== drawn) Atlas.showCensus(state.k);
    drawn = state.k;
    const p = Atlas.point(state.family, state.k);
    $("said").textContent = `${state.family}, k = ${state.k}: ${Atlas.status(p)[1]}`;
  }
  // The address names what is shown. Changes that follow quickly on one another are one step back.
  const here = () => `#family=${encodeURIComponent(state.family)}&k=${state.k}`;
  function write() {
    if (window.location.hash === here()) return;
    const now = performance.now();
    window.history[now - written > 1000 ? "pushState" : "replaceState"](null, "", here());
    written = now;
  }
  function read() {
    const asked = new URLSearchParams(window.location.hash.slice(1));
    const [name, k] = [asked.get("family"), Number(asked.get("k"))];
    if (!data.families.includes(name) || !(k >= 1)) return;
    state.family = name;
    if (!Atlas.point(name, k) && data.live) { ask(k); return; }
    const far = (n) => Math.abs(Math.log(n / k));
    state.k = Atlas.point(name, k) ? k : data.stops.reduce((a, b) => far(b) < far(a) ? b : a);
    show();
  }
  window.addEventListener("popstate", read);
  function move(by) {
    // From a size between stops, to the next stop.
    const next = by > 0 ? data.stops.findIndex((k) => k > state.k) : data.stops.findLastIndex((k) => k < state.k);
    if (next >= 0) { state.k = data.stops[next]; show(); write(); }
  }
  slider.max = data.stops.length - 1;
  slider.addEventListener("input", () => { state.k = data.stops[Number(slider.value)]; show(); });
  slider.addEventListener("change", write);
  $("k-less").addEventListener("click", () => move(-1));
  $("k-more").addEventListener("click", () => move(1));
  Atlas.choice("family-choice", "family", data.families.map((name) => ({ value: name, text: name, swatch: Atlas.swatch(name) })), state.family,
    (name) => {
      state.family = name;
      const missing = !Atlas.point(name, state.k);
      if (missing) ask(state.k); else { show(); write(); }
    });

  // Only a page that is served can compute sizes between the stops.
  async function ask(k) {
    $("live-said").textContent = "computing …";
    try {
      for (const name of data.families) {
        if (Atlas.point(name, k)) continue;
        const answer = await fetch(`point?name=${encodeURIComponent(name)}&k=${encodeURIComponent(k)}`);
        const found = await answer.json();
        if (found.error) throw new Error(found.error);
        Atlas.points.set(`${name}|${found.neurons}`, found);
        state.k = found.neurons;
      }
      state.k = Number(k);
      $("live-said").textContent = "";
      show();
      write();
    } catch (error) {
      $("live-said").textContent = error.message;
    }
  }
  if (data.live) {
    $("live").hidden = false;
    $("live").addEventListener("submit", (event) => { event.preventDefault(); ask($("any-k").value.trim()); });
  }
  show();
  read();
})();
