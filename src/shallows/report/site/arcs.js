// Arcs out of the points: which neighbours they meet, and over which barriers.
"use strict";
(() => {
  const { $, svg, data, state, number, whole } = Atlas;
  const outOf = (name) => {
    const found = Atlas.arcs.get(`${name}|${state.k}`);
    return found ? found.arcs : [];
  };
  // Along the smallest eigenvalue, and the half with the lower barrier first.
  const softest = (name) => outOf(name).filter((a) => a.is_minimising).sort((a, b) => a.barrier - b.barrier);
  const shownFamilies = () => data.families.filter((name) => {
    const p = Atlas.point(name, state.k);
    return p && !p.reason && p.kind === "minimum" && softest(name).length;
  });
  const endName = (a) => a.end === null ? a.outcome.replaceAll("_", " ")
    : (a.end.startsWith("unnamed") ? a.end_isotropy : a.end);

  const drawRises = Atlas.picture("rises", 300, (frame, width, height, describe) => {
    const lines = shownFamilies().map((name) => {
      const arc = softest(name)[0];
      return { name, arc, points: arc.radii.map((r, i) => [r, arc.losses[i] - arc.losses[0]]) };
    });
    if (!lines.length) {
      frame.append(svg("text", { x: 8, y: 40, class: "label" }, "No arcs out of minima at this size."));
      return describe("No arcs out of minima at this size.");
    }
    const box = { left: 58, right: width - 80, top: 30, bottom: height - 40 };
    const far = Math.max(...lines.flatMap((l) => l.points.map(([r]) => r)));
    const high = Math.max(...lines.flatMap((l) => l.points.map(([, z]) => z))) * 1.06;
    const x = Atlas.scale(0, far * 1.03, box.left, box.right);
    const y = Atlas.scale(0, high, box.bottom, box.top);
    Atlas.axes(frame, box, x, y, {
      x: Atlas.ticks(0, far, width < 420 ? 3 : 6).map((v) => [v, number(v, 3)]),
      y: Atlas.ticks(0, high, 5).map((v) => [v, number(v, 2)]),
      zero: 0, xLabel: "distance from the point", yLabel: "rise of the loss",
    });
    for (const { name, points } of lines) {
      const [colour, dash] = Atlas.look(name);
      const drawn = points.map(([r, z]) => [x(r), y(z)]);
      const end = drawn[drawn.length - 1];
      frame.append(
        svg("path", { d: Atlas.path(drawn), class: "line", style: `stroke:${colour};stroke-dasharray:${dash};stroke-width:${name === state.family ? 3.5 : 1.8}` }),
        svg("circle", { cx: end[0], cy: end[1], r: 5, style: `fill:${colour}` }),
      );
    }
    const ends = lines.map(({ points }) => y(points[points.length - 1][1]) + 4);
    Atlas.spread(ends, 14, box.top + 4, box.bottom).forEach((place, i) => frame.append(Atlas.lead(lines[i].points.map(([r, z]) => [x(r), y(z)]).at(-1), [box.right + 8, place - 4], Atlas.look(lines[i].name)[0]), svg("text", {
      x: box.right + 10, y: place, class: lines[i].name === state.family ? "name chosen" : "name", style: `fill:${Atlas.look(lines[i].name)[0]}`,
    }, lines[i].name)));
    describe(`Rise of the loss along the lowest arc out of each minimum at k = ${state.k}: ${lines.map(({ name, arc }) => `${name} by ${number(arc.barrier, 4)} at distance ${number(arc.radii[arc.radii.length - 1], 4)}`).join("; ")}.`);
  });

  // The graph: minima on the left, what their arcs meet on the right; the same end is one node.
  function edges() {
    const made = [];
    for (const name of shownFamilies()) {
      const all = $("all-arcs").checked && name === state.family;
      for (const arc of all ? outOf(name) : softest(name)) if (arc.end !== null) made.push({ name, arc });
    }
    return made;
  }
  const key = (arc) => `${arc.end_isotropy} ${arc.end_loss.toPrecision(8)}`;
  const height = () => Math.max(150, 60 + 40 * Math.max(new Set(edges().map((e) => key(e.arc))).size, shownFamilies().length));

  const drawGraph = Atlas.picture("graph", height, (frame, width, tall, describe) => {
    const found = edges();
    const [left, right] = [80, width - Math.min(185, Math.max(158, width * 0.47))];
    frame.append(svg("text", { x: left, y: 14, class: "label", "text-anchor": "end" }, "minima"),
      svg("text", { x: right, y: 14, class: "label" }, "what their arcs meet"));
    const names = [...new Set(found.map((e) => e.name))].sort((a, b) => Atlas.point(b, state.k).loss - Atlas.point(a, state.k).loss);
    const ends = [...new Map(found.map((e) => [key(e.arc), e.arc])).values()].sort((a, b) => b.end_loss - a.end_loss);
    const place = (i, n) => 34 + (tall - 54) * (n > 1 ? i / (n - 1) : 0.5);
    const rightOf = new Map(ends.map((arc, i) => [key(arc), place(i, ends.length)]));
    names.forEach((name, i) => {
      const at = place(i, names.length);
      const [colour] = Atlas.look(name);
      for (const { arc } of found.filter((e) => e.name === name)) {
        const to = rightOf.get(key(arc));
        frame.append(svg("path", {
          d: `M${left + 6} ${at}C${(left + right) / 2} ${at} ${(left + right) / 2} ${to} ${right - 8} ${to}`, class: "line",
          style: `stroke:${colour};stroke-width:${name === state.family ? 3 : 1.6};stroke-dasharray:${arc.component === "exterior" ? "6 4" : ""}`,
        }, svg("title", {}, `${name}: ${arc.component}, barrier ${number(arc.barrier, 6)}`)));
      }
      frame.append(
        svg("circle", { cx: left + 2, cy: at, r: 6, style: `fill:${colour}` }),
        svg("text", { x: left - 10, y: at + 4, class: name === state.family ? "name chosen" : "name", "text-anchor": "end", style: `fill:${colour}` }, name),
      );
    });
    for (const arc of ends) {
      const at = rightOf.get(key(arc));
      const what = arc.end_kind === "saddle" ? `index ${whole(arc.end_index)}` : arc.end_kind;
      frame.append(
        svg("circle", { cx: right - 2, cy: at, r: 5, class: arc.end_kind === "minimum" ? "node full" : "node" }),
        svg("text", { x: right + 8, y: at - 1, class: "tick" }, endName(arc)),
        svg("text", { x: right + 8, y: at + 12, class: "tick soft" }, `${what}, loss ${number(arc.end_loss, width < 420 ? 4 : 6)}`),
      );
    }
    describe(`Arcs at k = ${state.k}: ${found.map(({ name, arc }) => `${name} to ${endName(arc)}`).join("; ") || "none"}.`);
  });

  Atlas.showArcs = () => {
    const found = Atlas.arcs.get(`${state.family}|${state.k}`);
    const more = found && found.arcs.some((a) => !a.is_minimising);
    $("all-arcs").disabled = !more;
    if (!more) $("all-arcs").checked = false;
    $("all-arcs-note").textContent = more ? "" : `(at this size only the softest ones were followed; sizes with all: ${data.stops.filter((k) => data.arcs.some((a) => a.neurons === k && a.arcs.some((one) => !one.is_minimising))).map(whole).join(", ") || "none"})`;
    $("arcs-missing").textContent = !found ? (state.family === "global" ? "Arcs are not followed out of the global minimum: neurons are parallel to their teachers there, and the loss has no third derivatives." : "Arcs were not followed at this size.") : found.reason;
    drawRises();
    drawGraph();
    Atlas.table("families-table", [
      { text: "minimum" }, { text: "hidden?" }, { text: "softest direction" }, { text: "lowest barrier", number: true }, { text: "distance", number: true }, { text: "loss", number: true },
    ], shownFamilies().map((name) => {
      const [p, arc] = [Atlas.point(name, state.k), softest(name)[0]];
      return [name, Atlas.isHidden(p) ? "hidden" : "visible", p.levels[0].component, number(arc.barrier, 8), number(arc.distance, 8), number(p.loss, 8)];
    }), `The minima side by side at k = ${whole(state.k)}: hidden against visible`);
    const rows = $("all-arcs").checked ? outOf(state.family) : softest(state.family);
    Atlas.table("arcs-table", [
      { text: "component" }, { text: "eigenvalue", number: true }, { text: "cut" }, { text: "half" }, { text: "meets" }, { text: "kind" },
      { text: "barrier", number: true }, { text: "distance", number: true }, { text: "existence" },
    ], rows.map((a) => [a.component, number(a.eigenvalue, 8), a.cut || "none", a.direction, endName(a),
      a.end_kind === "saddle" ? `saddle, index ${whole(a.end_index)}` : a.end_kind || "–", number(a.barrier, 8), number(a.distance, 8), a.certified || "–"]),
    `Arcs out of ${state.family} at k = ${whole(state.k)}`);
  };
  $("all-arcs").addEventListener("change", Atlas.showArcs);
})();
