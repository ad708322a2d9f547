// Phase portraits: the flow among students with x on the diagonal and y off it.
"use strict";
(() => {
  const { $, svg, html, data, number } = Atlas;
  if (!data.portraits.length) { $("portraits").hidden = true; return; }
  let chosen = data.portraits[data.portraits.length - 1];
  const pairs = (flat, n = 2) => Array.from({ length: flat.length / n }, (_, i) => flat.slice(n * i, n * i + n));

  const redraw = Atlas.picture("portrait", (width) => Math.min(width, 620) * 0.65 + 90, (frame, width, height, describe) => {
    const [left, right, bottom, top] = chosen.window;
    const wide = Math.min(width, 620);
    const box = { left: 40, right: wide - 10, top: 30, bottom: height - 72 };
    const x = Atlas.scale(left, right, box.left, box.right);
    const y = Atlas.scale(bottom, top, box.bottom, box.top);
    Atlas.axes(frame, box, x, y, {
      x: Atlas.ticks(left, right, 5).map((v) => [v, number(v, 2)]), y: Atlas.ticks(bottom, top, 4).map((v) => [v, number(v, 2)]),
      zero: 0, xLabel: "x, on the diagonal", yLabel: "y, off the diagonal",
    });
    const clip = svg("g", { "clip-path": "url(#window)" });
    frame.append(svg("defs", {}, svg("clipPath", { id: "window" }, svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }))), clip);
    for (const [px, py, dx, dy] of pairs(chosen.arrows, 4)) {
      const [ax, ay] = [x(px), y(py)];
      const [bx, by] = [ax + 7 * dx, ay - 7 * dy];
      clip.append(svg("path", { d: `M${(ax - 5 * dx).toFixed(1)} ${(ay + 5 * dy).toFixed(1)}L${bx.toFixed(1)} ${by.toFixed(1)}m${(-3 * dx - 2 * dy).toFixed(1)} ${(3 * dy - 2 * dx).toFixed(1)}L${bx.toFixed(1)} ${by.toFixed(1)}l${(-3 * dx + 2 * dy).toFixed(1)} ${(3 * dy + 2 * dx).toFixed(1)}`, class: "arrow" }));
    }
    chosen.nullclines.forEach((flat, i) => pairs(flat).forEach(([a, b]) => clip.append(svg("circle", { cx: x(a).toFixed(1), cy: y(b).toFixed(1), r: 1.1, style: `fill:var(--${i ? "warm-1" : "cool-3"})` }))));
    for (const flat of chosen.separatrices) clip.append(svg("path", { d: Atlas.path(pairs(flat).map(([a, b]) => [x(a), y(b)])), class: "line", style: "stroke:var(--ink);stroke-dasharray:2 3;stroke-width:1.5" }));
    for (const flat of chosen.runs) clip.append(svg("path", { d: Atlas.path(pairs(flat).map(([a, b]) => [x(a), y(b)])), class: "line", style: "stroke:var(--warm-2);stroke-width:2.6" }));
    for (const p of chosen.fixed) {
      const [cx, cy] = [x(p.x), y(p.y)];
      const title = svg("title", {}, `${p.kind} at (${number(p.x, 6)}, ${number(p.y, 6)}), loss ${number(p.loss, 8)}`);
      clip.append(p.kind === "sink" ? svg("circle", { cx, cy, r: 6, style: "fill:var(--cool-1);stroke:var(--paper);stroke-width:1.5" }, title)
        : svg("rect", { x: cx - 5, y: cy - 5, width: 10, height: 10, style: "fill:var(--paper);stroke:var(--warm-1);stroke-width:2.5" }, title));
    }
    const keys = [["run", "var(--warm-2)"], ["separatrix", "var(--ink)"], ["x stands still", "var(--cool-3)"], ["y stands still", "var(--warm-1)"]];
    keys.forEach(([text, colour], i) => {
      const at = [box.left + (i % 2) * 150, height - 26 + 16 * Math.floor(i / 2)];
      frame.append(svg("line", { x1: at[0], x2: at[0] + 18, y1: at[1], y2: at[1], style: `stroke:${colour};stroke-width:2.5;stroke-dasharray:${["", "2 3", "1 2", "1 2"][i]}` }),
        svg("text", { x: at[0] + 24, y: at[1] + 4, class: "tick" }, text));
    });
    describe(`Phase portrait for k = ${chosen.neurons}: ${chosen.fixed.map((p) => `${p.kind} at ${number(p.x, 3)}, ${number(p.y, 3)}`).join("; ")}.`);
  });
  function show() {
    Atlas.table("portrait-table", [{ text: "kind in this plane" }, { text: "x", number: true }, { text: "y", number: true }, { text: "loss", number: true }],
      chosen.fixed.map((p) => [p.kind, ...[p.x, p.y, p.loss].map((v) => number(Math.abs(v) < 1e-14 ? 0 : v, 8))]), `Where nothing moves, k = ${chosen.neurons}`);
    const other = chosen.fixed.find((p) => p.kind === "sink" && p.loss > 1e-9);
    const known = Atlas.point("A", chosen.neurons);
    $("portrait-note").textContent = !other ? "" : known && Math.abs(known.loss - other.loss) < 1e-7
      ? `The sink on the left is type A: its loss ${number(other.loss, 8)} is that of A at k = ${chosen.neurons} above.`
      : `The sink on the left has loss ${number(other.loss, 8)}${chosen.neurons < 6 ? "; type A, which it continues, is a saddle of the full loss at this size" : ""}.`;
    redraw();
  }
  Atlas.choice("portrait-choice", "portrait-size", data.portraits.map((p) => ({ value: String(p.neurons), text: `k = ${p.neurons}` })), String(chosen.neurons),
    (value) => { chosen = data.portraits.find((p) => String(p.neurons) === value); show(); });
  show();
})();
