// The map: loss and smallest eigenvalue of every family against the size.
"use strict";
(() => {
  const { svg, data, state, number } = Atlas;
  const stops = data.stops;
  const [first, last] = [stops[0], stops[stops.length - 1]];

  function chart(id, value, isLog, yLabel) {
    const shown = data.families.map((name) => ({
      name, points: stops.map((k) => Atlas.point(name, k)).filter((p) => p && !p.reason && (isLog ? value(p) > 0 : true)),
    })).filter((line) => line.points.length);
    const values = shown.flatMap((line) => line.points.map(value));
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (isLog) [low, high] = [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))];
    else [low, high] = [Math.min(low, 0) - 0.005, high * 1.06];
    return Atlas.picture(id, 300, (frame, width, height, describe) => {
      const box = { left: 54, right: width - 80, top: 30, bottom: height - 40 };
      const x = Atlas.scale(first, last, box.left + 6, box.right - 6, true);
      const y = Atlas.scale(low, high, box.bottom, box.top, isLog);
      const at = isLog ? Atlas.decades(low, high, 8) : Atlas.ticks(low, high, 6);
      Atlas.axes(frame, box, x, y, {
        x: [first, ...Atlas.decades(10, last, width < 500 ? 3 : 6)].filter((k, i, all) => i !== 0 || x(all[1]) - x(k) > 24).map((k) => [k, Atlas.power(k)]),
        y: at.map((v) => [v, isLog ? Atlas.power(v) : number(v, 3)]),
        zero: isLog ? null : 0, xLabel: "k, neurons (logarithmic)", yLabel,
      });
      frame.append(svg("line", { x1: x(state.k), x2: x(state.k), y1: box.top, y2: box.bottom, class: "here" }));
      const ends = [];
      for (const { name, points } of shown) {
        const [colour, dash] = Atlas.look(name);
        const isChosen = name === state.family;
        const line = points.map((p) => [x(p.neurons), y(value(p))]);
        frame.append(svg("path", { d: Atlas.path(line), class: "line", style: `stroke:${colour};stroke-dasharray:${dash};stroke-width:${isChosen ? 3.5 : 1.7}` }));
        points.forEach((p, i) => {
          const isHere = p.neurons === state.k;
          if (!isHere && p.kind === "minimum" && !isChosen) return;
          const fill = p.kind === "minimum" ? colour : "var(--paper)";
          frame.append(svg("circle", { cx: line[i][0], cy: line[i][1], r: isHere ? 5.5 : 2.8, style: `fill:${fill};stroke:${colour};stroke-width:1.6` },
            svg("title", {}, `${name}, k = ${p.neurons}: ${number(value(p))} (${p.kind})`)));
        });
        ends.push({ name, colour, at: line[line.length - 1] });
      }
      const places = Atlas.spread(ends.map((e) => e.at[1] + 4), 14, box.top + 4, box.bottom);
      ends.forEach((e, i) => frame.append(Atlas.lead(e.at, [box.right + 8, places[i] - 4], e.colour), svg("text", {
        x: box.right + 10, y: places[i], class: e.name === state.family ? "name chosen" : "name", style: `fill:${e.colour}`,
      }, e.name)));
      const here = shown.map(({ name }) => Atlas.point(name, state.k)).filter((p) => p && !p.reason);
      describe(`${yLabel}, against k. At k = ${state.k}: ${here.map((p) => `${p.name} ${number(value(p), 6)}`).join(", ")}.`);
    });
  }

  const drawn = [
    chart("map-loss", (p) => p.loss, true, "loss (logarithmic)"),
    chart("map-eigenvalue", (p) => p.smallest_eigenvalue, false, "smallest Hessian eigenvalue"),
  ];
  Atlas.showMap = () => {
    drawn.forEach((redraw) => redraw());
    Atlas.table("map-table", [
      { text: "family" }, { text: "loss", number: true }, { text: "smallest eigenvalue", number: true },
      { text: "kind" }, { text: "what it is" }, { text: "training" },
    ], data.families.map((name) => {
      const p = Atlas.point(name, state.k);
      if (!p) return [name, "–", "–", "–", "not asked for", "–"];
      return [name, number(p.loss), number(p.smallest_eigenvalue), p.kind || "–", Atlas.status(p)[1], Atlas.hitsText(name, state.k)];
    }), `All families at k = ${Atlas.whole(state.k)}`);
  };
})();
