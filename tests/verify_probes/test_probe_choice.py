"""Which probes run: by effort, by name, skipped by a case for a reason until a day, and within the time there is."""

from __future__ import annotations

from datetime import date
from typing import get_args

import pytest
import torch

from harness.case.schema import ProbeName
from harness.case.subject import Input, Point, Subject
from harness.errors import UsageError
from harness.records import Finding, Outcome
from harness.verify.first import FirstOrder, first_order
from harness.verify.options import ProbeOptions, ProbeSkip, VerifyOptions
from harness.verify.probes.infer import declared
from harness.verify.probes.registry import PROBES, probes_for, run_probes
from harness.verify.scene import Labels, Scene


@pytest.fixture(scope="module")
def site() -> tuple[Scene, FirstOrder]:
    """A right subject at a point, judged."""
    values = {"x": torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)}
    subject = Subject(name="s", inputs={"x": Input(shape=(2, 3))}, function=lambda t: (t["x"].sin(),))
    scene = Scene(subject, Point(name="given", values=values, sizes={}, seed=0), Labels(case="s", seed=0, device="cpu"))
    return scene, first_order(scene, None, VerifyOptions(certify=False))


def found(site: tuple[Scene, FirstOrder], options: ProbeOptions, today: date | None = None) -> list[Finding]:
    """What the probes yield there."""
    return list(run_probes(*site, options, today=today))


def test_efforts_nest() -> None:
    """Every probe of an effort runs at the next one too, and named ones run at none."""
    quick, standard, thorough = ({p.name for p in probes_for(e)} for e in ("quick", "standard", "thorough"))
    assert quick < standard < thorough
    assert not {p.name for p in PROBES if p.effort == "named"} & thorough


def test_case_files_know_every_probe() -> None:
    """The names a case file may use are those of the probes there are."""
    assert set(get_args(ProbeName)) == {probe.name for probe in PROBES}


def test_every_probe_says_what_it_sees() -> None:
    """A probe's limits are part of it."""
    assert all(probe.sees and probe.blind_to for probe in PROBES)


def test_an_unknown_name_is_misuse() -> None:
    """The nearest name is offered."""
    with pytest.raises(UsageError, match="layouts"):
        probes_for("standard", ["layout"])


def test_a_skip_holds_until_its_day_and_fails_after(site: tuple[Scene, FirstOrder]) -> None:
    """Up to the day the probe is SKIPPED with the reason; the day after, it runs and the skip itself fails."""
    skip = ProbeSkip(probe="layouts", reason="views are refused upstream", until=date(2027, 1, 1))
    options = ProbeOptions(names=("layouts",), skips=(skip,))
    (held,) = found(site, options, date(2027, 1, 1))
    assert held.outcome is Outcome.SKIPPED
    assert "views are refused upstream" in held.message
    expired = found(site, options, date(2027, 1, 2))
    assert [f.outcome for f in expired] == [Outcome.FAIL, Outcome.PASS]
    assert "expired on 2027-01-01" in expired[0].message


def test_what_there_was_no_time_for_is_said(site: tuple[Scene, FirstOrder]) -> None:
    """A budget that is used up leaves SKIPPED findings, never silence."""
    left = found(site, ProbeOptions(budget_s=1e-9))
    assert {f.outcome for f in left} == {Outcome.SKIPPED}
    assert len(left) == len(probes_for("standard"))


def test_a_second_run_asks_no_oracle_again(site: tuple[Scene, FirstOrder]) -> None:
    """What oracles found at probes' points is kept in the options, for a changed backward of the same function."""
    options = ProbeOptions(names=("values",), budget_s=60.0)
    found(site, options)
    kept = dict(options.memo)
    assert kept
    found(site, options)
    assert options.memo.keys() == kept.keys()
    assert all(options.memo[key] is value for key, value in kept.items())


@pytest.mark.parametrize(
    ("values", "draw"),
    [
        (torch.eye(3) + 1.0, "spd"),
        (torch.tensor([[0.2, 0.8], [0.5, 0.5]]), "simplex"),
        (torch.tensor([[0.6, 0.8], [1.0, 0.0]]), "unit"),
        (torch.tensor([1.0, 2.0, 4.0, 5.0, 9.0]), "sorted"),
        (torch.tensor([1.0, -2.0]), "normal"),
    ],
)
def test_structures_are_recognised(values: torch.Tensor, draw: str) -> None:
    """A tensor without a declaration is drawn again as what it looks like."""
    spec = Input(shape=tuple(values.shape))
    subject = Subject(name="s", inputs={"x": spec}, function=lambda t: (t["x"],))
    point = Point(name="given", values={"x": values.double()}, sizes={}, seed=0)
    assert declared(subject, point, frozenset({"x"})).inputs["x"].draw == draw


def test_positive_tensors_stay_positive() -> None:
    """Entries that are all positive may have to be: the guessed domain excludes zero."""
    subject = Subject(name="s", inputs={"x": Input(shape=(3,))}, function=lambda t: (t["x"].log(),))
    point = Point(name="given", values={"x": torch.tensor([0.5, 1.0, 3.0]).double()}, sizes={}, seed=0)
    domain = declared(subject, point, frozenset({"x"})).inputs["x"].domain
    assert domain is not None
    assert domain[0] > 0
