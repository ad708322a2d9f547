// What the families are called, drawn like, and said to be: hidden, visible, or no minimum.
"use strict";
(() => {
  const data = JSON.parse(Atlas.$("data").textContent);
  Atlas.data = data;
  Atlas.points = new Map(data.points.map((p) => [`${p.name}|${p.neurons}`, p]));
  Atlas.arcs = new Map(data.arcs.map((a) => [`${a.name}|${a.neurons}`, a]));
  Atlas.point = (name, k) => Atlas.points.get(`${name}|${k}`);
  Atlas.state = {
    family: data.families.includes("II") ? "II" : data.families[0],
    k: data.stops.includes(10) ? 10 : data.stops[0],
  };

  const looks = {
    global: ["var(--soft)", ""], "II": ["var(--cool-1)", ""], "flipped:2": ["var(--cool-2)", "7 3"],
    "flipped:5": ["var(--cool-3)", "2 3"], "I": ["var(--warm-1)", "9 3 2 3"], "A": ["var(--warm-2)", "12 4"],
  };
  Atlas.look = (name) => looks[name] || ["var(--ink)", "4 4"];
  Atlas.swatch = (name) => {
    const [colour, dash] = Atlas.look(name);
    return Atlas.svg("svg", { width: 26, height: 12, "aria-hidden": "true", class: "swatch" },
      Atlas.svg("line", { x1: 1, x2: 25, y1: 6, y2: 6, style: `stroke:${colour};stroke-width:3;stroke-dasharray:${dash}` }));
  };

  Atlas.isHidden = (p) => p.kind === "minimum" && p.continues === "A";
  Atlas.status = (p) => {
    if (p.reason) return ["absent", "does not exist at this size"];
    if (p.name === "global") return ["goal", "the goal: the student is the teacher"];
    if (p.kind !== "minimum") return ["saddle", `${p.kind === "saddle" ? "a saddle" : "degenerate"}: no trap at this size`];
    return Atlas.isHidden(p) ? ["hidden", "hidden minimum"] : ["visible", "visible minimum"];
  };

  // What a census at this size says of a family; null where there is none.
  Atlas.hits = (name, k) => {
    const row = data.census.rows.find((r) => r.neurons === k);
    if (!row) return null;
    if (row.found) {
      const count = Object.entries(row.found).filter(([n]) => n.split("#")[0] === name || (name === "global" && n.startsWith("global")));
      return { count: count.reduce((sum, [, c]) => sum + c, 0), starts: row.starts, exact: true };
    }
    if (name === "global") return { count: row.hits.global, starts: row.starts, exact: true };
    if (data.census.never.includes(name)) return { count: 0, starts: row.starts, exact: true };
    const flipped = Atlas.point(name, k)?.flipped;
    const column = flipped < 5 ? String(flipped) : flipped < 10 ? "5–9" : "≥ 10";
    return { count: row.hits[column] ?? 0, starts: row.starts, exact: false, column };
  };
  // Clopper & Pearson's bound, of one side, for none of so many.
  Atlas.below = (starts) => `${Atlas.number(100 * (1 - 0.05 ** (1 / starts)), 2)}\u00a0%`;
  Atlas.hitsText = (name, k) => {
    const found = Atlas.hits(name, k);
    const sizes = data.census.rows.map((r) => r.neurons);
    if (!found) return `No census at this size: they go from ${Math.min(...sizes)} to ${Math.max(...sizes)}.`;
    if (found.exact && !found.count) return `0 of ${found.starts} training runs ended here: a share below ${Atlas.below(found.starts)} (95\u00a0% confidence).`;
    const end = found.exact ? "ended here" : `ended with ${found.column} flipped neuron${found.column === "1" ? "" : "s"}`;
    return `${found.count} of ${found.starts} training runs ${end}.`;
  };

  const words = {
    standard: "standard: it singles out one neuron against the others",
    exterior: "exterior: it twists pairs of neurons against each other",
    "two-row": "two-row: it moves pairs of neurons together",
    trivial: "trivial: it keeps all of the symmetry",
  };
  Atlas.component = (name) => words[name] || name;
})();
