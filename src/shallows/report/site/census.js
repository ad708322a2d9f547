// What training found: stacked shares of starts for each size, with a slider of its own.
"use strict";
(() => {
  const { $, svg, data } = Atlas;
  const { rows, source, never } = data.census;
  const columns = [...new Set(rows.flatMap((r) => Object.keys(r.hits)))].filter((c) => rows.some((r) => r.hits[c]))
    .sort((a, b) => rank(a) - rank(b));
  function rank(column) { return column === "global" ? -1 : column === "5–9" ? 5 : column.startsWith("≥") ? 10 : Number(column); }
  // The goal is hollow, so that no kind of colour vision takes it for a trap.
  const look = (column, i) => column === "global" ? "fill:var(--paper);stroke:var(--soft)" : `fill:var(--share-${Math.min(i, 6)})`;
  const words = (column) => column === "global" ? "global minimum" : `${column} flipped`;
  let chosen = Math.max(0, rows.findIndex((r) => r.neurons === Atlas.state.k));

  const redraw = Atlas.picture("census-chart", (width) => width < 560 ? 340 : 300, (frame, width, height, describe) => {
    const across = width < 560 ? 2 : columns.length;
    const legend = 16 * Math.ceil(columns.length / across);
    const box = { left: 40, right: width - 6, top: 30, bottom: height - 44 - legend };
    const step = (box.right - box.left) / rows.length;
    const x = (k) => box.left + step * (rows.findIndex((r) => r.neurons === k) + 0.5);
    const y = Atlas.scale(0, 100, box.bottom, box.top);
    const every = Math.max(1, Math.ceil(rows.length / (width / 60)));
    Atlas.axes(frame, box, x, y, {
      x: rows.filter((_, i) => i % every === 0).map((r) => [r.neurons, String(r.neurons)]),
      y: [0, 25, 50, 75, 100].map((v) => [v, String(v)]), zero: 0, xLabel: "k, neurons", yLabel: "% of starts",
    });
    rows.forEach((row, i) => {
      let from = 0;
      columns.forEach((column, j) => {
        const share = 100 * (row.hits[column] ?? 0) / row.starts;
        if (share) frame.append(svg("rect", { x: box.left + i * step + 0.5, width: Math.max(step - 1, 1), y: y(from + share), height: y(from) - y(from + share), style: look(column, j) },
          svg("title", {}, `k = ${row.neurons}: ${words(column)}, ${row.hits[column]} of ${row.starts}`)));
        from += share;
      });
    });
    frame.append(svg("rect", { x: box.left + chosen * step, y: box.top, width: step, height: box.bottom - box.top, class: "chosen-bar" }));
    columns.forEach((column, j) => {
      const [left, top] = [box.left + (j % across) * ((width - box.left) / across), height - legend + 16 * Math.floor(j / across)];
      frame.append(svg("rect", { x: left + 0.5, y: top + 0.5, width: 11, height: 11, style: look(column, j) }), svg("text", { x: left + 16, y: top + 10, class: "tick" }, words(column)));
    });
    describe(`Shares of starts by where they ended, for ${rows.length} sizes; the numbers are in the table.`);
  });

  function show() {
    const row = rows[chosen];
    $("census-out").textContent = `k = ${row.neurons}`;
    $("census-k").setAttribute("aria-valuetext", `k = ${row.neurons}`);
    const parts = columns.filter((c) => row.hits[c]).map((c) => `${words(c)}: ${row.hits[c]}`);
    const names = row.found ? ` By name: ${Object.entries(row.found).map(([n, c]) => `${n} ${c}`).join(", ")}.` : "";
    $("census-text").textContent = `Of ${row.starts} starts, ${row.settled} settled, in ${row.families} families. ${parts.join("; ")}. Mean loss ${Atlas.number(row.mean_loss, 5)}.${names}`;
    redraw();
  }
  // A size that is chosen above is shown here too, where there is a census of it.
  Atlas.showCensus = (k) => {
    const found = rows.findIndex((r) => r.neurons === k);
    if (found >= 0) { chosen = found; $("census-k").value = found; show(); }
  };
  const total = rows.reduce((sum, r) => sum + r.starts, 0);
  $("census-source").textContent = `${Atlas.whole(total)} training runs: ${source}.`;
  $("never").textContent = `${never.length ? "none" : "not many"} of the ${Atlas.whole(total)} runs of the `;
  $("never-names").textContent = never.length ? never.join(" or ") : "A or I";
  $("census-never").textContent = never.length ? `None of them ended in ${never.join(" or ")}.` : "Each of A, I and II was found at least once.";
  $("census-k").max = rows.length - 1;
  $("census-k").value = chosen;
  $("census-k").addEventListener("input", () => { chosen = Number($("census-k").value); show(); });
  Atlas.table("census-table", [{ text: "k", number: true }, { text: "starts", number: true }, { text: "families", number: true }, ...columns.map((c) => ({ text: words(c), number: true }))],
    rows.map((r) => [r.neurons, r.starts, r.families, ...columns.map((c) => r.hits[c] ?? 0)]), "Starts by where they ended");
  show();
})();
