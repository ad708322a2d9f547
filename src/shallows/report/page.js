"use strict";
(() => {
  const coarse = window.matchMedia("(pointer: coarse)").matches;
  const config = {
    responsive: true, displaylogo: false,
    // plotly.js 4 offers by default to upload the figure; nothing leaves this page.
    showSendToCloud: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["lasso2d", "select2d", "sendChartToCloud"],
    // A touch screen shows the buttons always, on top of the legends; there one pinches.
    displayModeBar: coarse ? false : "hover",
  };
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  // A figure is drawn when it comes near the window: a page may hold a hundred.
  function draw(div) {
    if (div.dataset.drawn) return;
    div.dataset.drawn = "yes";
    const document_ = read(div.dataset.source);
    const plot = document_.plots[div.dataset.plot];
    for (const trace of plot.data) {
      // The matrix is in the page once, for the picture and for the copy button.
      if (trace.type !== "heatmap") continue;
      trace.z = document_.family.weights;
      const [k, d] = [trace.z.length, trace.z[0].length];
      const side = (div.clientWidth - 120) / d;
      // Numbers only where they fit; square cells leave no room above and below.
      if (side < 32) delete trace.texttemplate;
      plot.layout.height = Math.max(150, Math.min(plot.layout.height, side * k + 70));
      div.style.height = `${plot.layout.height}px`;
    }
    // On a touch screen a drag scrolls the page.
    if (coarse) plot.layout.dragmode = false;
    Plotly.newPlot(div, plot.data, plot.layout, config);
  }
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      observer.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "300px" });
  all(".plot").forEach((div) => observer.observe(div));
  window.addEventListener("beforeprint", () => {
    all(".plot").filter((div) => div.offsetParent !== null).forEach(draw);
  });

  // A link into a closed section opens it.
  function unfold() {
    const target = window.location.hash && document.getElementById(window.location.hash.slice(1));
    if (target && target.tagName === "DETAILS") {
      target.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  }
  window.addEventListener("hashchange", unfold);
  all('a[href^="#family-"]').forEach((link) => link.addEventListener("click", () => {
    // Clicking the same link twice changes no hash.
    if (link.hash === window.location.hash) unfold();
  }));
  all("[data-unfold]").forEach((button) => button.addEventListener("click", () => {
    all("details.family").forEach((details) => { details.open = button.dataset.unfold === "yes"; });
  }));

  const status = document.getElementById("status");
  let timer = 0;
  function say(text) {
    status.textContent = text;
    window.clearTimeout(timer);
    timer = window.setTimeout(() => { status.textContent = ""; }, 4000);
  }
  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without permission for the clipboard the old way may still work.
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      const copied = document.execCommand("copy");
      area.remove();
      if (!copied) return say("The browser refused to copy; select the text instead.");
    }
    return say("Copied.");
  }
  const weights = (id) => JSON.stringify(read(id).family);
  all("[data-copy-family]").forEach((button) => button.addEventListener("click", () => {
    copy(weights(button.dataset.copyFamily));
  }));
  all("[data-copy-text]").forEach((button) => button.addEventListener("click", () => {
    copy(document.getElementById(button.dataset.copyText).textContent);
  }));
  all("textarea[data-text-of]").forEach((area) => {
    area.closest("details").addEventListener("toggle", () => {
      if (!area.value) area.value = weights(area.dataset.textOf);
    });
  });

  unfold();
})();
