"""The shipped cases: all load, and nothing the source documents work through is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.case.build import build_subject
from harness.case.load import load_cases
from harness.case.trust import Trust

FOLDER = Path(__file__).resolve().parent.parent / "cases"
CASES = {case.id: case for case in load_cases([FOLDER])}

SOURCES = {
    "PyTorch Introduction - Basics",
    "10315 Recitation 8, PyTorch Basics",
    "PyTorch basics",
    "Lecture 2: Introduction to PyTorch",
    "PyTorch Bootcamp",
}

SEED_ITEMS = {
    "(x-2)^2 and its descent": ["shifted-square"],
    "2 w1 w2 + w2 cos w1": ["product-cosine"],
    "residual sum of squares": ["linear-regression-rss"],
    "(a+b)(b+1)": ["expression-tree"],
    "views": ["view-with-inferred-size", "flattened-batch"],
    "-x^2 as g(u(x))": ["composed-negative-square"],
    "curve fit": ["quadratic-curve-fit"],
    "matrix product and sum": ["matrix-product", "vector-sum"],
    "NumPy": ["numpy-constant", "numpy-round-trip", "numpy-round-trip-detached"],
    "ln z by its series": ["log-by-artanh-series", "log-by-artanh-series-errors", "log-by-twenty-terms"],
    "1/sqrt(x)": ["inverse-square-root"],
    "bit trick": ["inverse-square-root-bits", "inverse-square-root-bits-newton", "inverse-square-root-bits-converged"],
    "product of x and y": ["product-of-two"],
    "stacked tensors": ["stacked-tensors"],
    "chain of b, c, d, L": ["two-path-chain", "edges-into-a-sum"],
    "printed tensors": [
        "elementwise-arithmetic",
        "broadcast-scalar",
        "broadcast-rows",
        "dot-product",
        "matrix-vector-product",
        "elementwise-functions",
    ],
    "complex values": ["complex-energy", "complex-real-part-of-square"],
    "sin((w+1)^3)": ["sine-of-cube", "sine-of-cube-stages"],
    "(M v).sum()": ["matrix-vector-sum"],
    "retained gradients": ["retained-gradients"],
    "accumulation": ["accumulation-over-two-backwards"],
    "not differentiable": ["argmax", "in-place-modification"],
    "x^2-3x+1": ["parabola-at-three-halves"],
    "line fit": ["line-fit-module"],
    "classifier and its loader": ["softmax-classifier", "ring-classifier"],
    "training on either device": ["sine-network"],
}


def test_there_are_many_cases() -> None:
    """The shipped set must stay as broad as it is meant to be."""
    assert len(CASES) >= 60


@pytest.mark.parametrize("item", SEED_ITEMS)
def test_seed_item_is_a_case(item: str) -> None:
    """Every function, figure and training run of the source documents must be a case that cites its document."""
    found = [CASES[name] for name in SEED_ITEMS[item] if name in CASES]
    assert [case.id for case in found if case.model.source in SOURCES and "seed" in case.model.tags] == SEED_ITEMS[item]


def test_every_seed_case_is_listed() -> None:
    """A case tagged as a seed must belong to an item above, so that this list is the whole of it."""
    listed = {name for names in SEED_ITEMS.values() for name in names} | {"broadcast-outer-sum", "in-place-on-copy"}
    assert {case.id for case in CASES.values() if "seed" in case.model.tags} == listed


def test_every_source_document_is_cited() -> None:
    """None of the five documents may be left out."""
    assert {case.model.source for case in CASES.values()} >= SOURCES


def test_wrong_published_gradient_is_kept_and_refuted() -> None:
    """The gradient one document prints wrongly must stay, declared as refuted with its reason, beside the true one."""
    claims = CASES["product-cosine"].model.points[0].claims
    assert isinstance(claims, list)
    assert [(claim.expected, bool(claim.reason)) for claim in claims] == [("refuted", True), ("confirmed", False)]


@pytest.mark.parametrize("name", CASES)
def test_subject_can_be_built(name: str) -> None:
    """Every shipped case must give a subject with this project's own trust, and a gradient for each input it names."""
    subject = build_subject(CASES[name], trust=Trust.from_config(FOLDER, []))
    assert set(subject.gradient_expressions) <= set(subject.differentiable)


@pytest.mark.parametrize("file", sorted(FOLDER.rglob("*.yaml")), ids=lambda file: file.stem)
def test_editors_find_the_schema(file: Path) -> None:
    """Every case file must begin with a line that leads editors to the schema."""
    found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text(encoding="utf-8"))
    assert found is not None, "the first line names no schema"
    assert (file.parent / found[1]).is_file()
