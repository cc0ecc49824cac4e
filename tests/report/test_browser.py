"""What the report does in a real browser: no network, no errors; sorting, filtering, opening, drawing, playing."""

import shutil
from itertools import pairwise

import pytest

from harness.report.html import render_html

pytestmark = pytest.mark.browser

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT_MS = 15_000


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all tests of this file."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser on PATH: looked for {', '.join(names)}")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def pages(factory, tmp_path_factory):
    """Reports on disk, by name."""
    folder = tmp_path_factory.mktemp("pages")
    runs = {
        "full": factory.full_run(cuda=True),
        "hostile": factory.small_run(factory.hostile()),
        "large": factory.large_run(cases=60, findings=50),
        "sweep": factory.sweep_run(),
        "compared": factory.small_run(*factory.compared()),
    }
    for name, run in runs.items():
        (folder / f"{name}.html").write_text(render_html(run), encoding="utf-8")
    return folder


@pytest.fixture
def visit(browser, pages):
    """Open a page; in the end, nothing may have been fetched, and no script may have complained."""
    contexts, fetched, complaints = [], [], []

    def visit(name="full", *, fragment="", **options):
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", lambda request: fetched.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{(pages / name).as_uri()}.html{fragment}")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert [url for url in fetched if not url.startswith(("file:", "data:", "blob:"))] == []
    assert complaints == []


def open_case(page, case):
    """Open a case's details and wait until they are there."""
    page.locator(f"#case-{case} .open").click()
    details = page.locator(f"#case-{case} .page")
    details.locator(".lead").wait_for()
    return details


def draw(details, figure):
    """Scroll to a figure and wait until it is drawn."""
    plot = details.locator(f'.plot[data-figure="{figure}"]')
    plot.scroll_into_view_if_needed()
    details.locator(f'.plot[data-figure="{figure}"][data-drawn]').wait_for()
    return plot


def shown(page):
    """Ids of the cases on show, from top to bottom."""
    return page.locator("tbody.case:not([hidden]) .id").all_text_contents()


def test_red_cases_come_first(visit):
    """A reader sees what went wrong without doing anything."""
    assert shown(visit())[:2] == ["linear-regression-rss", "norm-at-zero"]


def test_sorting_by_a_column_goes_both_ways_and_is_announced(visit):
    """A click sorts up, another down; rows without a number stay last; assistive technology is told."""
    page = visit()
    button = page.get_by_role("button", name="Findings", exact=True)
    head = page.locator("th", has=button)
    button.click()
    assert head.get_attribute("aria-sort") == "ascending"
    button.click()
    assert head.get_attribute("aria-sort") == "descending"
    assert shown(page)[0] == "rosenbrock"
    assert page.locator("[aria-sort]").count() == 1


def test_rows_without_a_number_stay_last(visit):
    """Nothing is not the smallest number."""
    page = visit()
    button = page.get_by_role("button", name="∇ / value")
    button.click()
    first = shown(page)[0]
    button.click()
    assert first == shown(page)[0] == "curve-fit"


def test_filter_finds_words_in_any_order(visit):
    """Every word must occur, in the id, the title, the source or the tags."""
    page = visit()
    page.locator("#filter").fill("linear pytorch")
    assert shown(page) == ["linear-regression-rss"]
    assert page.locator("#shown").inner_text() == "1 of 14 cases"


def test_filter_that_matches_nothing_says_so_and_can_be_cleared(visit):
    """An empty table explains itself."""
    page = visit()
    page.locator("#filter").fill("no such case")
    page.locator("#clear").click()
    assert len(shown(page)) == 14


def test_outcome_chips_add_up(visit):
    """Two pressed chips show the cases of either."""
    page = visit()
    for outcome in ("fail", "timeout"):
        page.locator(f'.chip[data-outcome="{outcome}"]').click()
    assert shown(page) == ["linear-regression-rss", "norm-at-zero", "endless-loop"]


def test_everything_works_without_a_mouse(visit):
    """Slash goes to the filter; Tab and Enter open a case; Enter sorts."""
    page = visit()
    page.keyboard.press("/")
    page.keyboard.type("parabola")
    page.locator("#case-parabola .open").focus()
    page.keyboard.press("Enter")
    page.locator("#case-parabola .lead").wait_for()
    assert page.locator("#case-parabola .open").get_attribute("aria-expanded") == "true"
    page.keyboard.press("Enter")
    assert page.locator("#case-parabola-details").is_hidden()


def test_an_address_with_a_case_opens_it(visit):
    """A link from CI leads to the evidence."""
    page = visit(fragment="#case-parabola")
    page.locator("#case-parabola .lead").wait_for()
    assert page.locator("#case-parabola .open").evaluate("element => element === document.activeElement")


def test_an_open_case_shows_formulae_graph_and_curve(visit):
    """MathML, SVG and the figure are really there."""
    details = open_case(visit(), "parabola")
    assert details.locator("math").count() == 2
    assert details.locator(".graph svg").bounding_box()["width"] > 100
    plot = draw(details, "step-error")
    assert plot.locator(".scatterlayer .trace").count() >= 2


def test_descent_timing_and_comparison_are_drawn(visit):
    """Convergence, path on contours, scaling and CPU against CUDA."""
    details = open_case(visit(), "curve-fit")
    for figure in ("convergence", "path-0", "distribution", "ratios", "scaling", "speedup", "roofline"):
        assert draw(details, figure).locator("svg.main-svg").count() >= 1
    assert details.locator('[data-figure="path-0"] .contourlayer').count() == 1


def test_the_reader_chooses_the_size_of_a_distribution(visit):
    """Curves of the chosen size replace those of the largest."""
    details = open_case(visit(), "curve-fit")
    plot = draw(details, "distribution")
    sizes = "element => [...new Set(element.data.filter((trace) => trace.visible).map((trace) => trace.meta))].join()"
    assert plot.evaluate(sizes) == "n=100000, d=3"
    details.locator('[data-chooser="distribution"]').select_option("n=1000, d=3")
    details.page.wait_for_function(f"([plot]) => ({sizes})(plot) === 'n=1000, d=3'", arg=[plot.element_handle()])


def test_panels_stand_below_each_other_on_a_phone(visit):
    """Two panels beside each other would leave a phone's reader nothing to read."""
    below = "({ layout }) => layout.xaxis2.domain[0] === 0 && layout.yaxis2.domain[1] < layout.yaxis.domain[0]"
    for width, stacked in ((360, True), (1280, False)):
        page = visit(viewport={"width": width, "height": 800})
        plot = draw(open_case(page, "curve-fit"), "scaling")
        assert plot.evaluate(below) is stacked


def test_stacked_panels_have_their_common_title_below_the_last_alone(visit):
    """Above the next panel's own title there is no room for it."""
    page = visit(viewport={"width": 360, "height": 800})
    plot = draw(open_case(page, "curve-fit"), "scaling")
    axes = "Object.keys(layout).filter((name) => name.startsWith('xaxis')).sort()"
    titles = plot.evaluate(f"({{ layout }}) => {axes}.map((name) => layout[name].title?.text ?? '')")
    assert len(titles) > 2
    assert titles == [*[""] * (len(titles) - 1), "elements of the inputs"]


@pytest.mark.parametrize("name", ["full", "sweep", "compared"])
def test_a_page_can_be_heard(name, visit):
    """Headings go down one level at a time, and every figure has a role and a name."""
    page = visit(name)
    for button in page.locator(".open").all()[:3]:
        button.click()
    page.locator(".page .lead").nth(2 if name != "compared" else 1).wait_for()
    levels = page.locator(":is(h1, h2, h3, h4, h5):visible").evaluate_all("found => found.map((h) => +h.tagName[1])")
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert page.locator(".plot").count() == page.get_by_role("img").and_(page.locator(".plot[aria-label]")).count() > 0


def test_the_fit_plays(visit):
    """Play goes back to the first step, and frames advance to the last by themselves."""
    details = open_case(visit(), "curve-fit")
    plot = draw(details, "fit-0")
    slider, play = (details.locator(f'.player[data-player="fit-0"] {part}') for part in ("input", ".play"))
    curve = "element => element.data[1].y[0]"
    last = plot.evaluate(curve)
    play.click()
    details.page.wait_for_function("([slider]) => slider.value === '2'", arg=[slider.element_handle()])
    assert plot.evaluate(curve) < last
    slider.press("End")
    slider.press("ArrowLeft")
    play.click()
    details.page.wait_for_function("([slider]) => slider.value === slider.max", arg=[slider.element_handle()])
    details.page.wait_for_function("([play]) => play.textContent === 'Play'", arg=[play.element_handle()])
    assert plot.evaluate(curve) == pytest.approx(last)


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_a_descent_on_contours_plays_only_when_asked_and_pauses(motion, visit):
    """Nothing moves by itself; play moves the head from the start on, pause stops it; the contours stay."""
    details = open_case(visit(reduced_motion=motion), "rosenbrock")
    plot = draw(details, "path-0")
    player = details.locator('.player[data-player="path-0"]')
    slider, play = player.locator("input"), player.locator(".play")
    assert slider.evaluate("element => element.value === element.max")
    head = "element => element.data.at(-1).x[0]"
    play.click()
    # Paused from within the page: when a click from outside arrives, on a busy machine, the descent may have ended.
    pause = "([slider, play]) => Number(slider.value) >= 2 && (play.click(), true)"
    details.page.wait_for_function(pause, arg=[slider.element_handle(), play.element_handle()])
    assert play.text_content() == "Play"
    assert plot.evaluate(head) > 1.0
    assert plot.locator(".contourlayer path").count() > 0
    assert slider.evaluate("element => Number(element.value) < Number(element.max)")


def test_the_reader_chooses_the_target(visit):
    """A choice shows the curves of one target, and the table of one."""
    page = visit("compared")
    plot = draw(page.locator("#comparison"), "run-profiles")
    shown_metas = (
        "element => [...new Set(element.data.filter(trace => trace.visible === true).map(trace => trace.meta))]"
    )
    page.locator('[data-chooser="run-profiles"]').select_option("τ = 10⁻¹")
    assert plot.evaluate(shown_metas) == ["τ = 10⁻¹"]
    page.locator("[data-shows]").select_option("τ = 10⁻³")
    assert page.locator("#comparison [data-part]:visible").count() == 1
    assert "2 of 3 arrived" in page.locator("#comparison [data-part]:visible").inner_text()


def test_the_fit_s_slider_works_by_keyboard(visit):
    """Each step can be looked at, and is read out."""
    details = open_case(visit(), "curve-fit")
    draw(details, "fit-0")
    slider = details.locator('.player[data-player="fit-0"] input')
    slider.press("Home")
    assert slider.get_attribute("aria-valuetext") == "step 0"


def test_hostile_texts_are_inert(visit):
    """No script of a run's texts runs, on the page, in the details or in figures; the text is shown."""
    page = visit("hostile")
    page.locator(".open").first.click()
    page.locator(".page .lead").wait_for()
    page.locator(".page .plot").scroll_into_view_if_needed()
    page.locator(".page .plot[data-drawn]").wait_for()
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img").count() == 0
    assert "<script>window.pwned" in page.locator(".page .lead").inner_text()


def test_a_large_report_opens_fast(visit):
    """Sixty cases of fifty findings: the page is there and a case opens without keeping the reader waiting."""
    page = visit("large")
    loaded_ms = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert loaded_ms < 3000
    assert open_case(page, "case-030").locator("details summary").inner_text() == "50 passing comparisons"


@pytest.mark.parametrize("width", [360, 1280])
def test_a_sweep_fits_its_page(width, visit):
    """Operators with long names, the worst first and shaded, with their figures, on a phone and on a desk."""
    page = visit("sweep", viewport={"width": width, "height": 800})
    accuracy = page.locator("#accuracy")
    for figure in ("run-operators", "run-ulps"):
        assert draw(accuracy, figure).locator(".barlayer .trace").count() >= 1
    assert accuracy.locator("tbody tr").first.locator("a").inner_text() == factory_worst(page)
    shades = "element => getComputedStyle(element).backgroundColor"
    assert accuracy.locator(".heat-4").first.evaluate(shades) != accuracy.locator(".heat-0").first.evaluate(shades)
    accuracy.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def factory_worst(page):
    """The operator that is wrong, as the list of what needs a look names it."""
    return page.locator(".attention a").first.inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_sticks_out_sideways(width, visit):
    """On a phone and on a desk, with details open, only tables scroll sideways, never the page."""
    page = visit(viewport={"width": width, "height": 800})
    for case in ("linear-regression-rss", "curve-fit"):
        open_case(page, case)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_pages_are_dark(visit):
    """The reader's preference is followed."""
    colour = "getComputedStyle(document.body).backgroundColor"
    assert visit(color_scheme="dark").evaluate(colour) != visit(color_scheme="light").evaluate(colour)


def test_copy_puts_the_command_on_the_clipboard(visit):
    """The repeat command is one click away from a terminal."""
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.locator("header .copy").click()
    page.get_by_role("button", name="Copy the command").first.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "harness run cases --seed 7"
