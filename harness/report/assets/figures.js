"use strict";
/* What every page does: unpack what is embedded, draw figures when they come into view, copy commands. Texts of a run reach
   the page only as HTML that the templates escaped, or as text. Nothing is fetched; the page's policy forbids it. */
const drawing = (() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const narrow = matchMedia("(max-width: 46rem)");

  /* Embedded data: gzip in base64, unpacked once, when first needed. */
  async function unpack(element) {
    const bytes = Uint8Array.from(atob(element.textContent.trim()), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  const payloads = new Map();
  function payload(id) {
    if (!payloads.has(id)) {
      const element = document.querySelector(`script[data-payload="${CSS.escape(id)}"]`);
      payloads.set(id, unpack(element).then(JSON.parse));
    }
    return payloads.get(id);
  }

  let plotly;
  function loadPlotly() {
    plotly ??= unpack(document.getElementById("plotly")).then((source) => {
      const script = document.createElement("script");
      script.textContent = source;
      document.head.append(script);
      return window.Plotly;
    });
    return plotly;
  }

  /* Figures. */
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const theme = () => ({
    "font.color": colour("--soft"),
    "modebar.bgcolor": "transparent",
    "modebar.color": colour("--soft"),
    "modebar.activecolor": colour("--link"),
    "hoverlabel.bgcolor": colour("--page"),
    "hoverlabel.bordercolor": colour("--line"),
    "hoverlabel.font.color": colour("--ink"),
  });
  const visible = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      visible.unobserve(target);
      draw(target).catch((error) => fault(target, error));
    }
  }, { rootMargin: "600px" });

  function fault(place, error) {
    place.textContent = `This could not be shown: ${error.message}`;
    console.error(error);
  }

  async function draw(place) {
    const [library, { figures }] = await Promise.all([loadPlotly(), payload(place.dataset.scope)]);
    const { data, layout, frames } = figures[place.dataset.figure];
    if (narrow.matches && layout.meta?.panels > 1) stack(layout, layout.meta.panels);
    const config = { responsive: true, displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] };
    place.style.height = `${layout.height}px`;
    await library.newPlot(place, { data, layout, frames: frames ?? [], config });
    await library.relayout(place, theme());
    const player = place.closest("figure").querySelector(".player");
    if (player) control(library, place, player, frames);
    const chooser = place.closest("figure").querySelector("[data-chooser]");
    chooser?.addEventListener("change", () => choose(library, place, chooser.value));
    place.dataset.drawn = "";
  }

  /* Each trace says in its meta which of the reader's choices it belongs to. */
  function choose(library, place, choice) {
    return library.restyle(place, { visible: place.data.map((trace) => trace.meta === undefined || trace.meta === choice) });
  }

  /* Panels that stand two beside each other on a desk stand below each other on a phone. */
  function stack(layout, panels) {
    const [tall, gap] = [260, layout.meta.gap ?? 70];
    const height = panels * (tall + gap);
    const axis = (letter, at) => layout[`${letter}axis${at ? at + 1 : ""}`];
    const last = axis("x", panels - 1).title?.text;
    for (let at = 0; at < panels; at += 1) {
      /* A title that all share stands below the last alone: there is no room for it above the next panel's own. */
      if (at < panels - 1 && axis("x", at).title?.text === last) axis("x", at).title.text = "";
      const top = 1 - (at * (tall + gap)) / height;
      const title = axis("y", at).title?.text ? axis("y", at).title : axis("y", 0).title;
      Object.assign(axis("x", at), { domain: [0, 1] });
      Object.assign(axis("y", at), { domain: [top - tall / height, top], showticklabels: true, title });
      Object.assign(layout.annotations[at], { x: 0.5, y: top });
    }
    if (layout.legend?.y < 0) layout.legend.y *= layout.height / (height + 120);
    layout.height = height + 120;
  }

  function control(library, place, player, frames) {
    const [button, slider, output] = player.children;
    slider.max = frames.length - 1;
    slider.value = slider.max;
    let timer = null;
    /* Without a redraw, plotly's animation takes everything but lines and points off the figure. */
    const redraw = place.data.some((trace) => trace.type !== "scatter");
    const show = () => {
      const { name } = frames[slider.value];
      output.textContent = `step ${name}`;
      slider.setAttribute("aria-valuetext", output.textContent);
      const motion = { mode: "immediate", transition: { duration: 0 }, frame: { duration: 0, redraw } };
      return library.animate(place, [name], motion);
    };
    const stop = () => {
      clearInterval(timer);
      timer = null;
      button.textContent = "Play";
      button.setAttribute("aria-pressed", "false");
    };
    const advance = () => {
      if (!place.isConnected || Number(slider.value) >= Number(slider.max)) return stop();
      slider.value = Number(slider.value) + 1;
      show();
    };
    button.addEventListener("click", () => {
      if (timer !== null) return stop();
      if (slider.value === slider.max) slider.value = 0;
      show();
      button.textContent = "Pause";
      button.setAttribute("aria-pressed", "true");
      timer = setInterval(advance, still.matches ? 600 : Math.max(60, Math.min(250, 5000 / frames.length)));
    });
    slider.addEventListener("input", () => { stop(); show(); });
    show();
  }

  const plots = () => document.querySelectorAll(".plot[data-drawn]");
  async function recolour() {
    const library = await loadPlotly();
    for (const place of plots()) library.relayout(place, theme());
  }
  dark.addEventListener("change", () => { if (plots().length) recolour(); });
  const watch = (element) => { for (const place of element.querySelectorAll(".plot")) visible.observe(place); };
  watch(document);

  /* Copying a command. */
  async function copy(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("the browser refused");
  }
  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const before = "Copy";
    button.textContent = await copy(button.dataset.copy).then(() => "Copied", () => "Not copied");
    setTimeout(() => { button.textContent = before; }, 1500);
  });

  return { payload, watch, fault };
})();
