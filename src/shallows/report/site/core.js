// Small tools that every part of the page uses: elements, scales, axes, numbers.
"use strict";
const Atlas = {};
(() => {
  const SPACE = "\u202f";  // between groups of three digits
  const named = "http://www.w3.org/2000/svg";

  Atlas.$ = (id) => document.getElementById(id);

  Atlas.html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
  Atlas.svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(named, tag), attributes, children);
  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  // Twelve significant digits, as the command line prints them; 17 for the shortest that reads back.
  Atlas.number = (x, digits = 12) => {
    if (x === null || x === undefined) return "–";
    const rounded = Number(x.toPrecision(digits));
    const size = Math.abs(rounded);
    if (size !== 0 && size < 1e-4) {
      const [mantissa, exponent] = rounded.toExponential().split("e");
      return `${mantissa.replace("-", "−")}e${exponent}`;
    }
    return String(rounded).replace("-", "−");
  };
  Atlas.whole = (n) => n === null || n === undefined ? "–"
    : String(n).replace(/\B(?=(\d{3})+$)/g, SPACE);
  Atlas.power = (n) => {
    const e = Math.round(Math.log10(n));
    if (n === 0 || (Math.abs(n) < 1e4 && Math.abs(n) >= 1e-2)) return Atlas.number(n, 3);
    const raised = String(e).replace("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);
    return Math.abs(n / 10 ** e - 1) < 1e-9 ? `10${raised}` : n.toExponential(0);
  };

  Atlas.scale = (low, high, from, to, isLog = false) => {
    const f = isLog ? Math.log10 : (x) => x;
    const [a, b] = [f(low), f(high)];
    return (x) => from + (to - from) * (f(x) - a) / (b - a || 1);
  };
  Atlas.ticks = (low, high, most) => {
    const raw = (high - low) / Math.max(most, 1);
    const ten = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * ten).find((s) => s >= raw * 0.999);
    const made = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) made.push(Number((i * step).toPrecision(6)));
    return made;
  };
  Atlas.decades = (low, high, most) => {
    const [a, b] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
    const step = Math.max(1, Math.ceil((b - a) / most));
    const made = [];
    for (let e = a; e <= b; e += step) made.push(10 ** e);
    return made;
  };

  // Places near the wanted ones, in their order, at least so far apart and inside the limits.
  Atlas.spread = (wanted, gap, low, high) => {
    const order = wanted.map((_, i) => i).sort((i, j) => wanted[i] - wanted[j]);
    const placed = [...wanted];
    let last = low - gap;
    for (const i of order) { placed[i] = Math.max(placed[i], last + gap); last = placed[i]; }
    let next = high + gap;
    for (const i of [...order].reverse()) { placed[i] = Math.min(placed[i], next - gap); next = placed[i]; }
    return placed;
  };

  // A picture that is drawn at the width that it has, so that text keeps its size on a phone.
  Atlas.picture = (id, height, draw) => {
    const holder = Atlas.$(id);
    let width = Math.floor(holder.clientWidth);
    const redraw = () => {
      if (width < 50) return;
      const tall = typeof height === "function" ? height(width) : height;
      const label = holder.dataset.label || "";
      const frame = Atlas.svg("svg", { width, height: tall, viewBox: `0 0 ${width} ${tall}`, role: "img", "aria-label": label });
      draw(frame, width, tall, (text) => frame.setAttribute("aria-label", text));
      holder.replaceChildren(frame);
    };
    // To ask for the width at each redrawing would lay the whole page out each time.
    new ResizeObserver(() => {
      const found = Math.floor(holder.clientWidth);
      if (found !== width) { width = found; redraw(); }
    }).observe(holder);
    redraw();
    return redraw;
  };

  Atlas.axes = (frame, box, x, y, words) => {
    const { svg } = Atlas;
    for (const [at, label] of words.y) {
      frame.append(
        svg("line", { x1: box.left, x2: box.right, y1: y(at), y2: y(at), class: at === words.zero ? "zero" : "grid" }),
        svg("text", { x: box.left - 6, y: y(at) + 4, class: "tick", "text-anchor": "end" }, label),
      );
    }
    for (const [at, label] of words.x) {
      frame.append(
        svg("line", { x1: x(at), x2: x(at), y1: box.bottom, y2: box.bottom + 4, class: "axis" }),
        svg("text", { x: x(at), y: box.bottom + 17, class: "tick", "text-anchor": "middle" }, label),
      );
    }
    frame.append(
      svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis" }),
      svg("text", { x: box.right, y: box.bottom + 32, class: "label", "text-anchor": "end" }, words.xLabel),
      svg("text", { x: 2, y: box.top - 14, class: "label" }, words.yLabel),
    );
  };

  // From the end of a curve to its name, where they are apart.
  Atlas.lead = ([x0, y0], [x1, y1], colour) => Atlas.svg("line", { x1: x0, y1: y0, x2: x1, y2: y1, class: "leader", style: `stroke:${colour}` });

  Atlas.path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  Atlas.table = (id, headings, rows, caption) => {
    const { html } = Atlas;
    const cell = (tag, text, i, scope = null) => html(tag, { class: headings[i].number ? "number" : null, scope }, text);
    Atlas.$(id).replaceChildren(html("table", {},
      html("caption", {}, caption),
      html("thead", {}, html("tr", {}, ...headings.map((h, i) => cell("th", h.text, i, "col")))),
      html("tbody", {}, ...rows.map((row) => html("tr", {}, ...row.map((text, i) => (i ? cell("td", text, i) : cell("th", text, i, "row"))))))));
  };

  // What is copied is for programs too: they read a hyphen for a minus, and no spaces in a number.
  const plain = (text) => text.replace(/−(?=\d)/g, "-").replaceAll(SPACE, "");
  let copied = null;
  document.addEventListener("copy", (event) => {
    event.clipboardData.setData("text/plain", copied ?? plain(document.getSelection().toString()));
    event.preventDefault();
  });
  Atlas.copy = (text) => {
    copied = text;
    const done = document.execCommand("copy");  // needs no permission, and works from a file
    copied = null;
    return done;
  };

  // Buttons of which one is pressed; arrow keys move among them, as among radio buttons.
  Atlas.choice = (id, group, options, chosen, pick) => {
    const { html } = Atlas;
    Atlas.$(id).append(...options.map(({ value, text, swatch }) => {
      const box = html("input", { type: "radio", name: group, value, id: `${group}-${value}` });
      box.checked = value === chosen;
      box.addEventListener("change", () => pick(value));
      return html("span", { class: "option" }, box, html("label", { for: `${group}-${value}` }, ...(swatch ? [swatch] : []), text));
    }));
  };
})();
