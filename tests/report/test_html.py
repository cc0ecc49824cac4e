"""The HTML page, as text; what it does in a browser is in test_browser.py."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from harness.records import Outcome, Run
from harness.report import embed, text
from harness.report.details import MOST_PASSING, case_details
from harness.report.html import environment, page, render_html, slug
from harness.report.write import FILES, write_report
from harness.report.write import replace as replace_file


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, markup):
        super().__init__()
        self.found = []
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def bare(run):
    """The page without its assets, which golden files need not hold."""
    return page(run, style="/* style */", plotly="/* plotly */", script="/* script */")


def details_of(case, run):
    return case_details(run, environment())[case]


def test_page_of_a_full_run_is_as_agreed(factory, golden):
    """The static part of the page; payloads are left out because compression differs between builds of zlib."""
    lines = [line for line in bare(factory.full_run()).splitlines() if not line.startswith('<script type="text/plain"')]
    found = "\n".join(lines) + "\n"
    assert found == golden("report.html", found)


def test_details_of_a_failing_case_are_as_agreed(factory, golden):
    """What opens below a red row."""
    run = factory.small_run(factory.wrong_sign())
    found = details_of("linear-regression-rss", run).html
    assert found == golden("details.html", found)


def test_the_same_run_gives_the_same_page(factory):
    """No clock, no random ids."""
    assert bare(factory.small_run()) == bare(factory.small_run())


@pytest.mark.parametrize("content", ["full", "empty"])
def test_page_refers_to_nothing_outside(content, factory):
    """No element of the page or of its details loads anything but data."""
    run = factory.full_run() if content == "full" else Run(header=factory.header(planned=()), records=(), footer=None)
    markup = bare(run) + "".join(details.html for details in case_details(run, environment()).values())
    for tag, attributes in Elements(markup).found:
        for name in ("src", "href", "xlink:href", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)


def test_policy_forbids_the_network_and_other_scripts(factory):
    """The browser itself refuses whatever is not embedded."""
    metas = Elements(bare(factory.small_run())).named("meta")
    (policy,) = (meta["content"] for meta in metas if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]


def test_hostile_texts_make_no_elements(factory):
    """Every text of a run that tries to be markup stays text, on the page and in the details."""
    run = factory.small_run(factory.hostile())
    markup = bare(run) + details_of(run.records[1].case, run).html
    elements = Elements(markup)
    assert not elements.named("img")
    assert [attributes.get("type") for attributes in elements.named("script")][-1] is None
    assert len([1 for attributes in elements.named("script") if "type" not in attributes]) == 1


@pytest.mark.parametrize("harmful", ["</script>", "<!--", "<script>", "\u2028", "&amp;"])
def test_embedded_json_cannot_end_its_element(harmful):
    """What HTML or JavaScript could misread is escaped, and reads back the same."""
    embedded = embed.json_text({"key": harmful})
    assert harmful not in embedded
    assert json.loads(embedded) == {"key": harmful}


def test_whole_page_is_small(factory):
    """A page of sixty cases of three hundred findings stays below 4 MB."""
    assert len(render_html(factory.large_run(cases=60, findings=300)).encode()) < 4e6


def test_every_outcome_has_its_tile_also_at_zero(factory):
    """Counts of what did not happen are shown too."""
    tiles = [
        attributes["class"] for attributes in Elements(bare(factory.small_run())).named("li") if "class" in attributes
    ]
    names = [classes.split()[1] for classes in tiles if classes.startswith("tile")]
    assert names == [*Outcome, "not-run"]


@pytest.mark.parametrize(
    ("change", "words"),
    [({}, "Interrupted run."), ({"footer": None}, "Partial run.")],
)
def test_incomplete_run_has_a_banner(change, words, factory):
    """A reader must not take a part for the whole."""
    assert words in bare(replace(factory.full_run(), **change))


def test_a_run_of_descents_alone_has_no_empty_parts(factory):
    """What only verification fills is left out: columns of dashes and a section that says it has nothing."""
    run = factory.small_run(*factory.compared())
    descents = tuple(record for record in run.records if record.kind == "converge")
    header = replace(run.header, planned=tuple(record.job for record in descents))
    html = bare(replace(run, records=descents, header=header))
    assert 'data-label="Descent"' in html
    for absent in ('data-key="verify"', 'data-key="digits"', 'data-key="findings"', 'id="power-title"'):
        assert absent not in html
    everything = bare(factory.full_run())
    assert all(present in everything for present in ('data-key="findings"', 'id="power-title"'))


def test_a_message_counts_the_jobs_that_ended_as_badly(factory):
    """One message stands for a case; that there is more to mend must be seen before its details are opened."""
    failed = [
        factory.descent("slow", job=f"converge slow[{entry}]", outcome=Outcome.FAIL, message="did not arrive")
        for entry in range(3)
    ]
    assert "did not arrive — and 2 more jobs: fail" in bare(factory.small_run(*failed))
    assert "more job" not in bare(factory.small_run(factory.descent("slow", outcome=Outcome.FAIL)))


def test_no_line_ends_within_a_number(factory):
    """What a message quotes in scientific notation stays whole, and everything else is escaped."""
    wrong = factory.finding(outcome=Outcome.FAIL, message="off by 2.5e-14 < 3e-9 <b>")
    html = bare(factory.small_run(factory.verify("wrong", Outcome.FAIL, findings=(wrong,), message=wrong.message)))
    nowrap = '<span class="nowrap">{}</span>'.format
    assert f"off by {nowrap('2.5e-14')} &lt; {nowrap('3e-9')} &lt;b&gt;" in html


def test_figures_of_a_descent_s_measures_read_as_a_sentence(factory):
    """A measure beside the verdict is set off from it."""
    record = factory.descent("fit", message="arrived at step 8", metric=(("correct digits", 10.3306),))
    assert "arrived at step 8; correct digits 10.3306" in details_of("fit", factory.small_run(record)).html


def test_complete_run_has_no_banner(factory):
    """The banner means something only if it is not always there."""
    assert "Interrupted run." not in bare(factory.small_run())
    assert "Partial run." not in bare(factory.small_run())


def test_declared_refuted_claim_stands_apart_from_red_ones(factory):
    """It has its own badge and its reason, and is in no list of what did not pass."""
    html = details_of("product-with-cosine", factory.full_run()).html
    assert "refuted claim (declared)" in html
    assert "The document drops the factor 2" in html
    assert 'class="badge fail"' not in html


@pytest.mark.parametrize(("verdict", "aside"), [(Outcome.PASS, True), (Outcome.INCONCLUSIVE, False)])
def test_undecided_comparisons_stand_back_where_the_verdict_is_green(verdict, aside, factory):
    """One that other comparisons make up for is folded away; one that keeps the case from passing is not."""
    vacuous = factory.finding(outcome=Outcome.VACUOUS, message="A zero would have passed.")
    run = factory.small_run(factory.verify("half", verdict, findings=(factory.finding(), vacuous)))
    assert ("1 comparison that did not count: 1 vacuous" in details_of("half", run).html) is aside


def test_red_case_shows_no_speed_up(factory):
    """A ratio beside a red verdict would advertise a wrong answer."""
    run = factory.small_run(factory.verify("slow", Outcome.FAIL), factory.benchmark("slow", cuda=True))
    details = details_of("slow", run)
    assert "×</strong>" not in details.html
    assert "speedup" not in details.figures


def test_missing_cuda_is_a_row_with_its_reason(factory):
    """A skipped device is seen, not left out."""
    html = details_of("curve-fit", factory.full_run()).html
    assert html.count(factory.NO_CUDA) >= 12


def test_two_dimensional_descent_and_fit_have_their_figures(factory):
    """Curves, path and animation are embedded for the case that has them."""
    figures = details_of("curve-fit", factory.full_run(cuda=True)).figures
    descent = {"step-error", "convergence", "path-0", "fit-0"}
    assert set(figures) == descent | {"distribution", "ratios", "scaling", "speedup", "roofline"}
    assert len(figures["fit-0"]["frames"]) == 12


def test_many_passing_findings_are_cut_with_a_count(factory):
    """A page stays quick with a case of thousands of comparisons, and says what it leaves out."""
    run = factory.small_run(factory.verify("big", findings=factory.many_findings("big", MOST_PASSING + 50)))
    html = details_of("big", run).html
    assert "50 more in results.parquet" in html
    assert f"{MOST_PASSING + 50} passing comparisons" in html


def test_ids_of_cases_do_not_collide():
    """Ids that differ only in odd characters have different anchors."""
    assert len({slug(case) for case in ("a b", "a_b", "a.b", "a_20_b", "a<b")}) == 5


@pytest.mark.parametrize(
    ("actual", "expected", "shown"),
    [
        (1.0, 2.0, ("1", "2")),
        (1.2345678901, 1.2345678904, ("1.2345678901", "1.2345678904")),
        (0.5, 0.5, ("0.5", "0.5")),
        (None, 1.0, ("–", "1")),
        (float("nan"), 0.0, ("nan", "0")),
    ],
)
def test_two_numbers_show_where_they_differ(actual, expected, shown):
    """Digits are as few as they can be, and as many as it takes."""
    assert text.pair(actual, expected) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (1.5, "1.5 s"), (1.234e-5, "12.3 µs"), (70.0, "1 min 10 s"), (2e-10, "0.2 ns")]
)
def test_times_have_a_unit_that_suits_them(value, shown):
    """Nobody reads 1.234e-05 s."""
    assert text.seconds(value) == shown


def test_report_is_four_files(factory, tmp_path):
    """All of them, and no temporary file beside them."""
    write_report(factory.small_run(), tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(FILES)


def test_text_that_no_file_can_hold_does_not_stop_a_report(factory, tmp_path):
    """A lone surrogate, as names of undecodable files have it, is replaced wherever it stands."""
    odd = factory.verify("odd", title="\ud800", formula="\ud800", message="\ud800", command="\ud800")
    run = factory.small_run(odd)
    write_report(replace(run, header=replace(run.header, command="\ud800")), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)


def test_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    """Where a file cannot be put in its place, the one that is there stays, and nothing else does."""
    path = tmp_path / "report.html"
    path.write_text("old")

    def refuse(*_):
        raise OSError("no space")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="no space"):
        replace_file(path, b"new")
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("report.html", "old")]
