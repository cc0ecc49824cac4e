"""Choosing cases by words of their ids and titles, and by tags."""

from __future__ import annotations

import pytest

from harness.case.load import load_cases
from harness.errors import NothingToRunError, UsageError


@pytest.mark.parametrize(
    ("keyword", "ids"),
    [
        ("nother", ["square"]),
        ("ANOTHER", ["square"]),
        ("squares", ["rss"]),
        ("rss or square", ["rss", "square"]),
        ("not rss", ["square"]),
        ("residual and not (square and rss)", []),
        ("sum and squares", ["rss"]),
        ("", ["rss", "square"]),
    ],
)
def test_keywords_choose_by_id_and_title(tmp_path, small, good, keyword, ids):
    """-k follows pytest's grammar over ids and titles."""
    (tmp_path / "a.yaml").write_text(good + "---\n" + small.replace("A square", "Another"))
    if ids:
        assert [case.id for case in load_cases([tmp_path], keyword=keyword)] == ids
    else:
        with pytest.raises(NothingToRunError, match="Cannot choose a case"):
            load_cases([tmp_path], keyword=keyword)


@pytest.mark.parametrize("keyword", ["and", "a b", "(a", "a)", "not", "a or", "()", "not " * 500 + "a", "(" * 5000])
def test_malformed_keywords_are_misuse(tmp_path, small, keyword):
    """A keyword expression that cannot be read is a clear error."""
    (tmp_path / "a.yaml").write_text(small)
    with pytest.raises(UsageError, match="Cannot select cases"):
        load_cases([tmp_path], keyword=keyword)


def test_tags_choose_cases(tmp_path, small, good):
    """Only cases that carry every tag asked for are chosen."""
    (tmp_path / "a.yaml").write_text(small + "tags: [fast, calculus]\n---\n" + good + "tags: [fast]\n")
    assert [case.id for case in load_cases([tmp_path], tags=["fast", "calculus"])] == ["square"]
