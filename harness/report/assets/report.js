"use strict";
/* The report's behaviour: sorting, filtering, opening cases, drawing figures. Texts of a run reach the page only as HTML that
   the templates escaped, or as text. Nothing is fetched; the page's policy forbids it. */
(() => {
  const table = document.getElementById("case-table");
  const all = [...table.tBodies];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");

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
    const config = { responsive: true, displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] };
    await library.newPlot(place, { data, layout, frames: frames ?? [], config });
    await library.relayout(place, theme());
    const player = place.parentElement.querySelector(".player");
    if (player) control(library, place, player, frames);
    place.dataset.drawn = "";
  }

  function control(library, place, player, frames) {
    const [button, slider, output] = player.children;
    slider.max = frames.length - 1;
    slider.value = slider.max;
    let timer = null;
    const show = () => {
      const { name } = frames[slider.value];
      output.textContent = `step ${name}`;
      slider.setAttribute("aria-valuetext", output.textContent);
      const motion = { mode: "immediate", transition: { duration: 0 }, frame: { duration: 0, redraw: false } };
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
  for (const place of document.querySelectorAll(".plot")) visible.observe(place);

  /* Opening a case. */
  async function toggle(body, open) {
    const button = body.querySelector(".open");
    const row = body.querySelector("tr.details");
    button.setAttribute("aria-expanded", String(open));
    row.hidden = !open;
    if (!open || row.dataset.filled !== undefined) return;
    row.dataset.filled = "";
    const page = document.createElement("div");
    page.className = "page";
    row.firstElementChild.append(page);
    try {
      page.innerHTML = (await payload(body.id)).html;
      for (const place of page.querySelectorAll(".plot")) visible.observe(place);
    } catch (error) {
      fault(page, error);
    }
  }

  const isOpen = (body) => body.querySelector(".open").getAttribute("aria-expanded") === "true";
  async function follow() {
    const body = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!body?.matches("tbody.case")) return;
    if (body.hidden) clear();
    await toggle(body, true);
    body.scrollIntoView({ block: "start" });
    body.querySelector(".open").focus({ preventScroll: true });
  }
  addEventListener("hashchange", follow);

  table.addEventListener("click", (event) => {
    const body = event.target.closest("tbody.case");
    if (!body || event.target.closest("tr.details") || getSelection().type === "Range") return;
    toggle(body, !isOpen(body));
  });

  /* Sorting: missing values stay last either way; equal rows keep the order they came in. */
  const columns = [...table.tHead.rows[0].cells];
  const numeric = (text) => text !== "" && !Number.isNaN(Number(text.replace("inf", "Infinity")));
  function sortBy(head) {
    const descending = head.getAttribute("aria-sort") === "ascending";
    const at = columns.indexOf(head);
    const key = (body) => body.rows[0].cells[at].dataset.value;
    const numbers = all.every((body) => key(body) === "" || numeric(key(body)));
    const value = (text) => (numbers ? Number(text.replace("inf", "Infinity")) : text);
    const compare = (a, b) => (numbers ? a - b || 0 : a.localeCompare(b, "en", { numeric: true }));
    const ordered = [...all].sort((one, two) => {
      const [a, b] = [key(one), key(two)];
      if (a === "" || b === "") return (a === "") - (b === "");
      return (descending ? -1 : 1) * compare(value(a), value(b));
    });
    for (const other of columns) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    table.append(...ordered);
  }
  table.tHead.addEventListener("click", (event) => {
    if (event.target.closest(".sort")) sortBy(event.target.closest("th"));
  });

  /* Filtering: every word must occur; outcomes that are pressed are shown, all when none is. */
  const filter = document.getElementById("filter");
  const chips = [...document.querySelectorAll(".chip")];
  function apply() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(chips.filter((chip) => chip.getAttribute("aria-pressed") === "true").map((chip) => chip.dataset.outcome));
    let shown = 0;
    for (const body of all) {
      const match = words.every((word) => body.dataset.text.includes(word)) && (!wanted.size || wanted.has(body.dataset.outcome));
      body.hidden = !match;
      shown += match;
    }
    const total = `${all.length} ${all.length === 1 ? "case" : "cases"}`;
    document.getElementById("shown").textContent = shown === all.length ? total : `${shown} of ${total}`;
    document.getElementById("none-shown").hidden = shown > 0 || !all.length;
  }
  function clear() {
    filter.value = "";
    for (const chip of chips) chip.setAttribute("aria-pressed", "false");
    apply();
  }
  filter.addEventListener("input", apply);
  document.getElementById("clear").addEventListener("click", () => { clear(); filter.focus(); });
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      apply();
    });
  }
  addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, textarea");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      filter.focus();
    } else if (event.key === "Escape" && event.target === filter) clear();
  });

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

  follow();
})();
