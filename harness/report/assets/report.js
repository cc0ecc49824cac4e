/* The report's behaviour: sorting, filtering, opening cases. Texts of a run reach the page only as HTML that the templates
   escaped, or as text. Nothing is fetched; the page's policy forbids it. */
(() => {
  const table = document.getElementById("case-table");
  const all = [...table.tBodies];
  const { payload, watch, fault } = drawing;

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
      watch(page);
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

  /* One of several tables is shown: the one the reader chose. */
  document.addEventListener("change", (event) => {
    const chooser = event.target.closest("[data-shows]");
    for (const part of chooser?.closest("section").querySelectorAll("[data-part]") ?? []) {
      part.hidden = part.dataset.part !== chooser.value;
    }
  });

  follow();
})();
