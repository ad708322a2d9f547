// One point: headline, weight matrix, spectrum, proof, and what one more neuron does.
"use strict";
(() => {
  const { $, svg, html, state, number, whole } = Atlas;
  const MOST = 16;  // rows of a matrix that is drawn cell by cell
  const FEW = 5;  // rows that stand for a large block
  const BEND = 0.05;  // eigenvalues below this are drawn on a linear scale
  const components = [["trivial", "square"], ["standard", "circle"], ["exterior", "triangle"], ["two-row", "diamond"]];
  const colours = { trivial: "var(--soft)", standard: "var(--cool-1)", exterior: "var(--warm-1)", "two-row": "var(--cool-3)" };
  const current = () => Atlas.point(state.family, state.k);

  function mark(component, x, y, r = 5) {
    const shape = (components.find(([name]) => name === component) || [null, "circle"])[1];
    const style = `fill:${colours[component] || "var(--ink)"}`;
    if (shape === "circle") return svg("circle", { cx: x, cy: y, r, style });
    const d = {
      square: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
      triangle: `M${x} ${y - r - 1}L${x + r + 1} ${y + r}H${x - r - 1}z`,
      diamond: `M${x} ${y - r - 2}L${x + r + 1} ${y}L${x} ${y + r + 2}L${x - r - 1} ${y}z`,
    }[shape];
    return svg("path", { d, style });
  }

  // Rows to draw: each belongs to a block; `gap` says that many are left out before it.
  function rowsOf(p) {
    const all = p.sizes.reduce((sum, n) => sum + n, 0);
    return p.sizes.flatMap((n, block) => {
      const shown = all <= MOST || n <= FEW ? n : FEW;
      return Array.from({ length: shown }, (_, i) => ({ block, place: i, gap: shown < n && i === shown - 1 }));
    });
  }
  function valueAt(p, row, column, isSame) {
    // Entries come in the order of blocks of neurons, then of inputs.
    let i = 0;
    for (let r = 0; r < p.sizes.length; r++) {
      for (let c = 0; c < p.sizes.length; c++) {
        const kinds = r !== c ? ["all"] : p.sizes[r] === 1 ? ["diagonal"] : ["diagonal", "off-diagonal"];
        for (const kind of kinds) {
          if (r === row && c === column && (kind === "all" || (kind === "diagonal") === isSame)) return p.entries[i].value;
          i++;
        }
      }
    }
    return 0;
  }

  const short = (value) => Math.abs(value) < 0.005 ? "≈ 0" : value.toFixed(2).replace("-", "−");

  const drawWeights = Atlas.picture("weights", (width) => Math.min(width, 380) + 34, (frame, width, height, describe) => {
    const p = current();
    if (!p || p.reason) return describe("No matrix: the point does not exist at this size.");
    const rows = rowsOf(p);
    const gap = 12;
    const room = Math.min(width - 20, 380) - 16 - gap * rows.filter((r) => r.gap).length;
    const side = room / rows.length;
    const places = [];
    let at = 14;
    rows.forEach((row, i) => {
      if (row.gap) at += gap;
      else if (i && rows[i - 1].block !== row.block) at += 2;
      places.push(at);
      at += side;
    });
    const thin = Math.max(side - 1, 0.5);
    rows.forEach((row, i) => rows.forEach((column, j) => {
      const value = valueAt(p, row.block, column.block, i === j);
      const style = `fill:${value < 0 ? "var(--minus)" : "var(--plus)"};fill-opacity:${Math.min(1, Math.sqrt(Math.abs(value))).toFixed(3)}`;
      frame.append(
        svg("rect", { x: places[j], y: places[i], width: thin, height: thin, class: "cell" }),
        svg("rect", { x: places[j], y: places[i], width: thin, height: thin, style }, svg("title", {}, number(value))),
      );
      // The number, or its sign where there is less room: colour alone does not say it to everybody.
      if (thin < 11) return;
      const said = thin > 33 ? short(value) : Math.abs(value) < 0.005 ? "" : value < 0 ? "−" : "+";
      frame.append(svg("text", { x: places[j] + thin / 2, y: places[i] + thin / 2 + 4, "text-anchor": "middle", class: Math.sqrt(Math.abs(value)) > 0.7 ? "in-cell strong" : "in-cell" }, said));
    }));
    rows.forEach((row, i) => {
      if (!row.gap) return;
      const middle = places[i] - gap / 2 - 0.5;
      frame.append(
        svg("text", { x: middle, y: 10, class: "tick", "text-anchor": "middle" }, "⋯"),
        svg("text", { x: 6, y: middle + 4, class: "tick", "text-anchor": "middle" }, "⋮"),
      );
    });
    const isCut = rows.some((row) => row.gap);
    frame.append(svg("text", { x: 14, y: at + 18, class: "label" },
      isCut ? `blocks of ${p.sizes.map(whole).join(" and ")}, large ones cut` : `${p.neurons} × ${p.neurons} weights`));
    describe(`Weight matrix in blocks of ${p.sizes.join(" and ")}: ${p.entries.map((e) => `${e.neurons} neurons, ${e.inputs} inputs, ${e.entry}: ${number(e.value, 4)}`).join("; ")}.`);
  });

  const drawSpectrum = Atlas.picture("spectrum", 300, (frame, width, height, describe) => {
    const p = current();
    if (!p || p.reason) return describe("No spectrum: the point does not exist at this size.");
    const box = { left: 46, right: width - 12, top: 30, bottom: height - 62 };
    const values = p.levels.map((l) => l.eigenvalue);
    const [least, most] = [Math.min(0, ...values), Math.max(...values)];
    // Linear around zero and logarithmic far away: for large k the largest is about k/4.
    const bent = (v) => Math.sign(v) * Math.log10(1 + Math.abs(v) / BEND);
    const straight = Atlas.scale(bent(least), bent(most), box.left + 12, box.right - 12);
    const x = (v) => straight(bent(v));
    const at = [];
    for (const v of [0, 0.1, 1, -0.1, 0.3, 3, 10, 30, 100, 1e3, 1e4, 1e5, 0.03, -0.03, -1, -0.3]) {
      if (v >= least && v <= most && at.every((u) => Math.abs(x(u) - x(v)) > 38)) at.push(v);
    }
    const top = 10 ** Math.ceil(Math.log10(Math.max(...p.levels.map((l) => l.multiplicity))) + 0.2);
    const y = Atlas.scale(0.6, top, box.bottom, box.top, true);
    Atlas.axes(frame, box, x, y, {
      x: at.map((v) => [v, Atlas.power(v)]),
      y: Atlas.decades(1, top, 6).map((v) => [v, Atlas.power(v)]),
      zero: null, xLabel: "eigenvalue (logarithmic away from 0)", yLabel: "how many (logarithmic)",
    });
    frame.append(svg("line", { x1: x(0), x2: x(0), y1: box.top, y2: box.bottom, class: "zero" }));
    for (const level of p.levels) {
      const [cx, cy] = [x(level.eigenvalue), y(level.multiplicity)];
      frame.append(svg("line", { x1: cx, x2: cx, y1: box.bottom, y2: cy, style: `stroke:${colours[level.component]};stroke-width:1.5` }),
        svg("g", {}, mark(level.component, cx, cy), svg("title", {}, `${number(level.eigenvalue)}: ${whole(level.multiplicity)} times, ${level.component}`)));
    }
    components.forEach(([name], i) => {
      const left = box.left + i * Math.min(110, (width - box.left) / 4);
      frame.append(mark(name, left, height - 10, 4), svg("text", { x: left + 8, y: height - 6, class: "tick" }, name));
    });
    describe(`${p.levels.length} different eigenvalues from ${number(values[0], 5)} to ${number(values[values.length - 1], 5)}; all are in the table.`);
  });

  Atlas.showPoint = () => {
    const p = current();
    const [kind, words] = Atlas.status(p);
    $("badge").className = `badge ${kind}`;
    $("badge").textContent = words;
    $("point-title").textContent = `${p.name} at k = ${whole(p.neurons)}`;
    const known = !p.reason;
    $("missing").textContent = p.reason;
    const cell = (id, text) => { $(id).textContent = text; };
    cell("loss", number(p.loss, 17));
    cell("smallest", number(p.smallest_eigenvalue, 17));
    cell("kind", p.kind || "–");
    cell("isotropy", p.isotropy || "–");
    cell("flipped", known ? whole(p.flipped) : "–");
    cell("training", known ? Atlas.hitsText(p.name, p.neurons) : "–");
    const softest = known ? p.levels[0] : null;
    cell("softest", softest ? Atlas.component(softest.component) : "–");
    drawWeights();
    drawSpectrum();
    Atlas.table("weights-table", [{ text: "neurons" }, { text: "inputs" }, { text: "entry" }, { text: "weight", number: true }, { text: "how many", number: true }],
      p.entries.map((e) => [e.neurons, e.inputs, e.entry, number(e.value, 17), whole(e.count)]), "Every entry of the weight matrix");
    Atlas.table("spectrum-table", [{ text: "eigenvalue", number: true }, { text: "multiplicity", number: true }, { text: "component" }, { text: "neurons" }],
      p.levels.map((l) => [number(l.eigenvalue, 17), whole(l.multiplicity), l.component, l.block || "all"]), "All Hessian eigenvalues");
    proof(p);
    extra(p);
    $("again").hidden = !p.proof;
    $("certify").textContent = `shallows certify ${p.name} -k ${p.neurons} --out proof.json\nshallows verify proof.json`;
    $("ask-again").textContent = `shallows family ${p.name} -k ${p.neurons}`;
    $("copied").textContent = "";
  };
  $("copy").addEventListener("click", () => {
    const done = Atlas.copy(JSON.stringify(current(), null, 1));
    $("copied").textContent = done ? "Copied." : "The browser refused; the numbers below can be selected.";
  });

  function proof(p) {
    const t = Atlas.data.thresholds.find((one) => one.name === p.name);
    $("threshold").textContent = t
      ? `With k a real number, ${p.name} is a minimum from k = ${number(t.neurons)} on: there an eigenvalue of the ${t.component} component is zero (computed, to 12 digits).` : "";
    if (!p.proof) {
      $("verdict").textContent = p.name === "global" ? "no proof needed" : "no proof";
      $("verdict").className = "verdict none";
      $("statement").textContent = p.name === "global" ? "The student is the teacher: its loss is zero by construction." : p.reason || "This point was computed live; `shallows certify` proves it.";
      $("enclosures").replaceChildren();
      return;
    }
    $("verdict").textContent = p.proof.verdict;
    $("verdict").className = `verdict ${p.proof.verdict.toLowerCase()}`;
    $("statement").textContent = p.proof.statement;
    const row = (name, pair) => pair ? [html("dt", {}, name), html("dd", {}, `between ${pair[0]} and ${pair[1]}`)] : [];
    $("enclosures").replaceChildren(...row("loss", p.proof.loss), ...row("smallest eigenvalue", p.proof.smallest_eigenvalue),
      html("dt", {}, "negative eigenvalues"), html("dd", {}, whole(p.proof.index)),
      html("dt", {}, "arithmetic"), html("dd", {}, `balls of ${p.proof.bits} bits`));
  }

  function extra(p) {
    const found = p.continuations;
    const minima = found.filter((c) => c.kind === "minimum" && !c.is_gone);
    $("extra-sentence").textContent = !found.length
      ? (p.name === "global" ? "The global minimum stays one: a spare neuron can share the work of another." : "Nothing to add a neuron to.")
      : minima.length ? `One more neuron does not remove ${p.name} here: ${minima.length} of the ways to add it that were found leave${minima.length > 1 ? "" : "s"} a minimum, at loss ${minima.map((c) => number(c.loss, 6)).join(", ")}.`
        : `One more neuron opens a way down: none of the ${found.length} ways to add it that were found leaves a minimum.`;
    Atlas.table("extra-table", [{ text: "the extra neuron is" }, { text: "loss", number: true }, { text: "kind" }, { text: "smallest eigenvalue", number: true }],
      found.map((c) => [c.how, number(c.loss), c.is_gone ? "left for another point" : c.kind, number(c.smallest_eigenvalue)]), "With one more neuron");
  }
})();
