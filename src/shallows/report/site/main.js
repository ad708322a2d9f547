// The controls: a family, a size, and, where the page is served live, any other size.
"use strict";
(() => {
  const { $, data, state, whole } = Atlas;
  const slider = $("k");

  function show() {
    const at = data.stops.indexOf(state.k);
    if (at >= 0) slider.value = at;
    slider.setAttribute("aria-valuetext", `k = ${state.k}`);
    $("k-out").textContent = whole(state.k);
    $("k-less").disabled = at === 0;
    $("k-more").disabled = at === data.stops.length - 1;
    Atlas.showMap();
    Atlas.showPoint();
    Atlas.showArcs();
    const p = Atlas.point(state.family, state.k);
    $("said").textContent = `${state.family}, k = ${state.k}: ${Atlas.status(p)[1]}`;
  }
  function move(by) {
    // From a size between stops, to the next stop.
    const next = by > 0 ? data.stops.findIndex((k) => k > state.k) : data.stops.findLastIndex((k) => k < state.k);
    if (next >= 0) { state.k = data.stops[next]; show(); }
  }
  slider.max = data.stops.length - 1;
  slider.addEventListener("input", () => { state.k = data.stops[Number(slider.value)]; show(); });
  $("k-less").addEventListener("click", () => move(-1));
  $("k-more").addEventListener("click", () => move(1));
  Atlas.choice("family-choice", "family", data.families.map((name) => ({ value: name, text: name, swatch: Atlas.swatch(name) })), state.family,
    (name) => {
      state.family = name;
      const missing = !Atlas.point(name, state.k);
      if (missing) ask(state.k); else show();
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
    } catch (error) {
      $("live-said").textContent = error.message;
    }
  }
  if (data.live) {
    $("live").hidden = false;
    $("live").addEventListener("submit", (event) => { event.preventDefault(); ask($("any-k").value.trim()); });
  }
  show();
})();
