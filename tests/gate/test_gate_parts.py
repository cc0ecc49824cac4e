"""The gate's small parts: which cases are timed, where code came from, records on disk, the scheduler's queue."""

from __future__ import annotations

import json
import math
import sys
from types import ModuleType

import pytest

from harness.bench.comparison import Decision, Judgement, Margin
from harness.bench.statistics import Interval
from harness.case.load import load_cases
from harness.errors import UsageError
from harness.gate.options import TimingOptions
from harness.gate.origin import foreign_code, import_folders, lies_in
from harness.gate.records import Compared, GateResult, Side, Workload, from_json, to_json
from harness.gate.start import command_of, core_for
from harness.gate.verdict import sentence
from harness.gate.waiting import Queue
from harness.gate.workloads import NO_BENCHMARK, candidates
from harness.records import Environment

CASES = """\
case: swept
title: Four passes over five sizes
dims: {n: [4]}
inputs: {x: {shape: [n]}}
function: sum(x*x)
benchmark: {sweep: {n: [1, 2, 3, 4, 5]}, passes: [value, forward, backward, forward_backward, step], dtype: float64}
---
case: alone
title: One pass
inputs: {x: {shape: [2]}}
function: sum(x*x)
benchmark: {passes: [forward]}
---
case: stepped
title: Nothing but the optimizer
inputs: {x: {shape: [2]}}
function: sum(x*x)
benchmark: {passes: [step]}
---
case: plain
title: No benchmark
dims: {n: [3, 7]}
inputs: {x: {shape: [n]}}
function: sum(x*x)
"""


@pytest.fixture
def cases(tmp_path):
    """Four cases in a tree."""
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "a.yaml").write_text(CASES)
    return load_cases([tmp_path / "cases"])


def test_declared_passes_are_timed_without_step_and_what_is_covered(cases, tmp_path):
    """`forward` goes where forward_backward and value are there, and stays where it is alone; step always goes."""
    found = {each.case: each for each in candidates(cases, tmp_path, TimingOptions())[0]}
    assert found["swept"].passes == ("value", "backward", "forward_backward")
    assert found["alone"].passes == ("forward",)
    assert (found["swept"].dtype, found["swept"].path, found["swept"].device) == ("float64", "cases/a.yaml", "cpu")
    assert len(found["swept"].sizes) == 4


def test_what_is_not_timed_says_why(cases, tmp_path):
    """A case without a benchmark, and one without a pass that counts."""
    reasons = {each.case: each.reason for each in candidates(cases, tmp_path, TimingOptions())[1]}
    assert reasons["plain"] == NO_BENCHMARK
    assert "step" in reasons["stepped"]


def test_all_cases_are_timed_when_asked_for(cases, tmp_path):
    """A case without a benchmark is timed at the sizes it declares."""
    found = {each.case: each for each in candidates(cases, tmp_path, TimingOptions(all_cases=True))[0]}
    assert found["plain"].sizes == ((("n", 3),), (("n", 7),))


def test_an_accelerator_is_timed_beside_the_cpu(cases, tmp_path):
    """Each case is a candidate once for each device."""
    found = candidates(cases[:1], tmp_path, TimingOptions(device="cuda"))[0]
    assert [each.device for each in found] == ["cpu", "cuda"]


def module(name, file):
    """Make a module that claims to have been loaded from a file."""
    made = ModuleType(name)
    made.__file__ = str(file)
    return made


def tree(root, *folders):
    """Make a tree with packages in some folders."""
    for folder in folders:
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").write_text("")
    return root


def test_code_inside_the_tree_is_not_foreign(tmp_path):
    """Nothing to say where everything came from the tree."""
    root = tree(tmp_path / "base", "treepackage")
    assert foreign_code([str(root / "treepackage" / "__init__.py")], root, tmp_path / "head") == ()


def test_code_the_case_names_outside_the_tree_is_foreign(tmp_path):
    """The file a case names has to lie in the tree."""
    file = str(tmp_path / "env" / "x.py")
    assert foreign_code([file], tree(tmp_path / "base", "treepackage"), tmp_path / "head") == (file,)


def test_a_module_of_the_trees_name_from_elsewhere_is_foreign(tmp_path, monkeypatch):
    """A file beside the case may import an installed copy of the package that the tree holds."""
    root = tree(tmp_path / "base", "src/ownpackage")
    monkeypatch.setitem(sys.modules, "ownpackage.ops", module("ownpackage.ops", tmp_path / "env" / "ops.py"))
    assert foreign_code([str(root / "bench.py")], root, tmp_path / "head") == (str(tmp_path / "env" / "ops.py"),)


def test_a_module_of_the_other_tree_is_foreign(tmp_path, monkeypatch):
    """An editable install points at the head, whatever its layout."""
    root, other = tree(tmp_path / "base", "treepackage"), tree(tmp_path / "head", "python/elsewhere")
    monkeypatch.setitem(sys.modules, "elsewhere", module("elsewhere", other / "python" / "elsewhere" / "__init__.py"))
    found = foreign_code([str(root / "bench.py")], root, other)
    assert found == (str(other / "python" / "elsewhere" / "__init__.py"),)


def test_libraries_in_an_environment_inside_the_tree_are_no_user_code(tmp_path, monkeypatch):
    """An environment inside the project is not the project."""
    root, other = tree(tmp_path / "base", "treepackage"), tmp_path / "head"
    file = other / ".venv" / "lib" / "site-packages" / "library.py"
    monkeypatch.setitem(sys.modules, "library", module("library", file))
    assert foreign_code([str(root / "bench.py")], root, other) == ()
    assert not lies_in(file, other)


def test_expressions_have_no_code_that_could_be_foreign(tmp_path, monkeypatch):
    """What another case imported does not touch a case without Python code."""
    root = tree(tmp_path / "base", "src/ownpackage")
    monkeypatch.setitem(sys.modules, "ownpackage.ops", module("ownpackage.ops", tmp_path / "env" / "ops.py"))
    assert foreign_code([], root, tmp_path / "head") == ()


def test_src_comes_before_the_root(tmp_path):
    """User code is looked for under src/ first; a tree that holds this package gives no folder."""
    assert import_folders(tree(tmp_path / "a", "src/own")) == (tmp_path / "a" / "src", tmp_path / "a")
    assert import_folders(tree(tmp_path / "b", "treepackage")) == (tmp_path / "b",)
    (tmp_path / "c" / "harness" / "gate").mkdir(parents=True)
    (tmp_path / "c" / "harness" / "gate" / "worker.py").write_text("")
    assert import_folders(tmp_path / "c") == ()


def judgement(decision=Decision.SLOWER, ratio=None, reason="because", **more):
    interval = Interval(point=1.05, low=1.04, high=1.06, samples=5) if ratio is None else ratio
    return Judgement(decision=decision, ratio=interval, mde=None, p=0.001, reason=reason, **more)


def result(**changes):
    place = Environment(
        python="3", platform="", cpu="", cpu_count=2, memory_bytes=None, torch="2", torch_threads=1, numpy="2",
        cuda=None, cuda_missing=None, harness="0", git_commit=None,
    )  # fmt: skip
    given = {
        "command": "harness gate", "started": "2026-01-01T00:00:00Z", "base": Side(name="base", root="/a"),
        "head": Side(name="head", root="/b"), "margin": Margin(), "threads": 1, "seed": 0, "environment": place,
    }  # fmt: skip
    return GateResult(**{**given, **changes})


def test_results_survive_the_disk():
    """A result read back is the one written, infinities included, as strict JSON."""
    row = Compared(
        workload=Workload(case="a", path="b.yaml", what="value", sizes=(("n", 3),)),
        judgement=judgement(ratio=Interval(point=1.0, low=0.5, high=math.inf, samples=2)),
        message="",
    )
    text = to_json(result(compared=(row,)))
    json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert from_json(text) == result(compared=(row,))


@pytest.mark.parametrize(("text", "words"), [("{}", "Field required"), ("no", "JSON")])
def test_what_is_no_result_is_refused(text, words):
    """The error says what is wrong and what to name."""
    with pytest.raises(UsageError, match=words):
        from_json(text)


def test_another_version_is_refused():
    """A document of a later version is not half understood."""
    with pytest.raises(UsageError, match="version=99"):
        from_json(to_json(result(version=99)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (judgement(), "5.0 % slower (+4.0 % to +6.0 %, p = 0.001): because"),
        (judgement(ratio=Interval(point=0.9, samples=1)), "10.0 % faster: because"),
        (Judgement(decision=Decision.INCONCLUSIVE, ratio=None, mde=None, p=None, reason="no steady state"),
         "no steady state"),
    ],
)  # fmt: skip
def test_a_judgement_in_a_sentence(given, expected):
    """How much, how sure, and why."""
    assert sentence(given) == expected


def test_a_queue_nobody_counts_is_empty(tmp_path):
    """Where the system does not count waiting, there is none."""
    assert Queue(str(tmp_path / "none")).waited_s() == 0.0
    (tmp_path / "odd").write_text("nothing of the kind")
    assert Queue(str(tmp_path / "odd")).waited_s() == 0.0


def test_a_queue_is_read_in_seconds(tmp_path):
    """The second number is the time waited, in nanoseconds."""
    (tmp_path / "schedstat").write_text("10 2500000000 3\n")
    assert Queue(str(tmp_path / "schedstat")).waited_s() == pytest.approx(2.5)


def test_cores_take_turns(monkeypatch):
    """Each pair of processes runs on one core, the next pair on the next; without a way to set it, on any."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert [core_for(number) for number in range(3)] == [3, 5, 3]
    monkeypatch.delattr("os.sched_getaffinity")
    assert core_for(0) is None


def test_only_the_head_is_slowed_down():
    """What is injected goes to one side; trust and limits go to both."""
    base, head = Side(name="base", root="/a", trust=("treepackage",)), Side(name="head", root="/b")
    options = TimingOptions(injected=0.05, memory_gib=None)
    assert "--injected" not in command_of(base, head, options, 1)
    command = command_of(head, base, options, None)
    assert command[command.index("--injected") + 1] == "0.05"
    assert "--core" not in command
    assert "--memory-gib" not in command
    assert command_of(base, head, options, 1)[-4:] == ["--trust", "treepackage", "--core", "1"]
