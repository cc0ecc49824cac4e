"""Cases written in Python, and a runner that takes one from its declaration to its records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.schema import CaseModel, ConvergeModel
from harness.case.trust import Trust
from harness.converge.problem import Problem, make_problem, problem_sizes
from harness.converge.run import converge_case
from harness.records import ConvergeRecord

MODULE = """
from torch import nn


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, x):
        return self.layer(x[:, None])[:, 0]


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)
"""

Records = Callable[..., tuple[ConvergeRecord, ...]]


def declare(
    function: Any, inputs: dict[str, Any], entry: dict[str, Any], path: Path | None = None, **more: Any
) -> Case:
    """Return a case with one convergence entry."""
    document = {"case": "made", "title": "Made", "inputs": inputs, "function": function, "converge": [entry], **more}
    return Case(model=CaseModel.model_validate(document), path=path or Path("made.yaml"), line=1)


@pytest.fixture
def runs() -> Records:
    """Declare a case and return the records of its only convergence entry."""

    def run(function: Any, inputs: dict[str, Any], *, seed: int = 0, device: str = "cpu", **entry: Any) -> Any:
        more = {key: entry.pop(key) for key in ("dims", "let", "analytic") if key in entry}
        if "analytic" in more:
            more["gradient"] = more.pop("analytic")
        return converge_case(declare(function, inputs, entry, **more), 0, trust=Trust(), seed=seed, device=device)

    return run


@pytest.fixture
def one(runs: Records) -> Callable[..., ConvergeRecord]:
    """Declare a case and return the only record of its only convergence entry."""

    def run(function: Any, inputs: dict[str, Any], **entry: Any) -> ConvergeRecord:
        (record,) = runs(function, inputs, **entry)
        return record

    return run


@pytest.fixture
def problem_of() -> Callable[..., tuple[Problem, ConvergeModel]]:
    """Declare a case and return its problem at the start, with the entry."""

    def make(function: Any, inputs: dict[str, Any], *, seed: int = 0, **entry: Any) -> tuple[Problem, ConvergeModel]:
        more = {key: entry.pop(key) for key in ("dims", "let", "analytic") if key in entry}
        if "analytic" in more:
            more["gradient"] = more.pop("analytic")
        case = declare(function, inputs, entry, **more)
        model = case.model.converge[0]
        subject = build_subject(case, trust=Trust())
        return make_problem(subject, model, sizes=problem_sizes(case.sizes, model), seed=seed), model

    return make


@pytest.fixture
def modules(tmp_path: Path) -> Callable[..., tuple[ConvergeRecord, ...]]:
    """Declare a case whose subject is a module of a trusted file, and return its records."""
    (tmp_path / "nets.py").write_text(MODULE, encoding="utf-8")

    def run(name: str, loss: str, inputs: dict[str, Any], *, seed: int = 0, **entry: Any) -> tuple[ConvergeRecord, ...]:
        more = {"dims": entry.pop("dims")} if "dims" in entry else {}
        function = {"python": f"./nets.py:{name}", "loss": loss}
        case = declare(function, inputs, entry, path=tmp_path / "made.yaml", **more)
        return converge_case(case, 0, trust=Trust(folders=(tmp_path,)), seed=seed)

    return run
