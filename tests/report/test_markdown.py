"""The summary for CI."""

import re
from dataclasses import replace

import pytest

from harness.records import Outcome
from harness.report.markdown import code, plain, render_markdown

MEBIBYTE = 2**20


def test_summary_of_a_full_run_is_as_agreed(factory, golden):
    """The golden file is what a reader of CI sees; a change of it must be meant."""
    text = render_markdown(factory.full_run())
    assert text == golden("summary.md", text)


def test_summary_of_a_green_run_is_as_agreed(factory, golden):
    """A green run is short."""
    text = render_markdown(factory.small_run())
    assert text == golden("summary-green.md", text)


def test_partial_run_is_said_to_be_partial(factory):
    """A journal without its last line belongs to a run that died."""
    assert "**Partial run.** 2 planned jobs never got a result." in render_markdown(
        replace(factory.full_run(), footer=None)
    )


def test_long_lists_are_cut_with_a_count(factory):
    """Sixty failing cases show fifty, and say that there are ten more."""
    failing = [factory.verify(f"case-{number}", Outcome.FAIL) for number in range(60)]
    text = render_markdown(factory.small_run(*failing))
    assert text.count("### ") == 50
    assert "… and 10 more." in text


def test_summary_stays_below_a_mebibyte_whatever_the_run_holds(factory):
    """Endless four-byte texts in every field of thousands of cases must not lose the summary its place in CI."""
    huge = "😀`<" * 2000
    records = [
        factory.verify(f"{number}{huge}", outcome, message=huge, command=huge)
        for number in range(300)
        for outcome in (Outcome.FAIL, Outcome.VACUOUS)
    ]
    declared = [
        factory.descent(f"{n}{huge}", job=f"converge {n}{huge}[0]", excused=huge, trajectory=(), contour=None)
        for n in range(100)
    ]
    run = factory.small_run(*records, *declared)
    environment = replace(run.header.environment, cpu=huge, platform=huge, torch=huge)
    planned = (*run.header.planned, *(f"verify {number} {huge}" for number in range(1000)))
    run = replace(run, header=replace(run.header, command=huge, planned=planned, environment=environment))
    assert len(render_markdown(run).encode()) < MEBIBYTE


def test_hostile_texts_are_no_markup(factory):
    """Outside of code, no text of a run may open a tag."""
    text = render_markdown(factory.small_run(factory.hostile()))
    outside = re.sub(r"(?s)(`+).*?\1", "", text)
    assert "<" not in outside


@pytest.mark.parametrize(
    ("given", "shown"),
    [("a|b", r"a\|b"), ("*x*", r"\*x\*"), ("a\nb\x1b[0m", r"a b \[0m"), ("<b>&", "&lt;b&gt;&amp;")],
)
def test_plain_text_shows_as_it_is(given, shown):
    """Marks of Markdown and HTML are escaped, and lines joined."""
    assert plain(given) == shown


@pytest.mark.parametrize(("given", "shown"), [("a", "`a`"), ("a`b", "``a`b``"), ("`", "`` ` ``")])
def test_code_is_fenced_by_more_backticks_than_it_holds(given, shown):
    """Text cannot end the code it stands in."""
    assert code(given) == shown
