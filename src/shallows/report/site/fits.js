// The player: a network on a line in training, its knots on their way.
"use strict";
(() => {
  const { $, svg, data, number } = Atlas;
  if (!data.fits.length) { $("fits").hidden = true; return; }
  let [fit, at, timer] = [data.fits[0], 0, 0];
  const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)");

  const redraw = Atlas.picture("fit", 320, (frame, width, height, describe) => {
    const box = { left: 40, right: width - 8, top: 30, bottom: height - 96 };
    const x = Atlas.scale(fit.grid[0] - 0.25, fit.grid[fit.grid.length - 1] + 0.25, box.left, box.right);
    const all = [...fit.values.flat(), ...fit.y];
    const y = Atlas.scale(Math.min(...all) - 0.05, Math.max(...all) + 0.05, box.bottom, box.top);
    Atlas.axes(frame, box, x, y, {
      x: [-1, -0.5, 0, 0.5, 1].map((v) => [v, number(v, 2)]), y: Atlas.ticks(Math.min(...all), Math.max(...all), 4).map((v) => [v, number(v, 2)]),
      zero: 0, xLabel: "x", yLabel: "f(x)",
    });
    frame.append(svg("path", { d: Atlas.path(fit.grid.map((t, i) => [x(t), y(fit.values[at][i])])), class: "line", style: "stroke:var(--cool-1);stroke-width:2.4" }));
    fit.x.forEach((t, i) => frame.append(svg("circle", { cx: x(t), cy: y(fit.y[i]), r: 5, style: "fill:var(--paper);stroke:var(--ink);stroke-width:2" })));
    const rug = height - 44;
    fit.x.forEach((t) => frame.append(svg("line", { x1: x(t), x2: x(t), y1: rug, y2: rug + 22, class: "grid" })));
    for (const knot of fit.knots[at]) {
      if (knot !== null && x(knot) >= box.left && x(knot) <= box.right) frame.append(svg("line", { x1: x(knot), x2: x(knot), y1: rug + 3, y2: rug + 19, style: "stroke:var(--warm-1);stroke-width:1.3;opacity:.8" }));
    }
    frame.append(svg("text", { x: box.left, y: height - 8, class: "label" }, `knots of ${fit.knots[at].length} of the ${fit.width} neurons`));
    describe(`Fit at time ${number(fit.times[at], 3)}, loss ${number(fit.losses[at], 3)}; six samples, and the knots below.`);
  });
  function show() {
    $("fit-step").max = fit.times.length - 1;
    $("fit-step").value = at;
    const words = `step ${at} of ${fit.times.length - 1}, time ${number(fit.times[at], 4)}, loss ${number(fit.losses[at], 4)}`;
    $("fit-step").setAttribute("aria-valuetext", words);
    $("fit-out").textContent = words;
    $("fit-back").disabled = at === 0;
    $("fit-forward").disabled = at === fit.times.length - 1;
    redraw();
  }
  function pause() {
    window.clearInterval(timer);
    timer = 0;
    $("fit-play").textContent = "Play";
  }
  function play() {
    if (at === fit.times.length - 1) at = 0;
    $("fit-play").textContent = "Pause";
    // One still after the other, slowly, for those who asked for less motion.
    timer = window.setInterval(() => {
      at += 1;
      if (at >= fit.times.length - 1) { at = fit.times.length - 1; pause(); }
      show();
    }, isCalm.matches ? 1200 : 180);
    show();
  }
  const go = (to) => { pause(); at = Math.min(Math.max(to, 0), fit.times.length - 1); show(); };
  $("fit-play").addEventListener("click", () => { if (timer) pause(); else play(); });
  $("fit-back").addEventListener("click", () => go(at - 1));
  $("fit-forward").addEventListener("click", () => go(at + 1));
  $("fit-step").addEventListener("input", () => go(Number($("fit-step").value)));
  const describeFit = () => { $("fit-note").textContent = `Here ${fit.width} neurons start with inner weights ±κ, κ = ${fit.scale}, and the sum of their outputs is divided by ${fit.width}${fit.exponent === 1 ? "" : ` to the power ${fit.exponent}`}: half of the knots move by more than ${number(fit.moved, 3)}.`; };
  Atlas.choice("fit-choice", "fit-start", data.fits.map((f, i) => ({ value: String(i), text: f.title })), "0",
    (value) => { fit = data.fits[Number(value)]; describeFit(); go(0); });
  describeFit();
  show();
})();
