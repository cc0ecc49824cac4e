"""The sweep over PyTorch's operators: what it takes from the database, what it catches, what it compares with."""

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.case import samples as adapter
from harness.case.operators import Operator, choose_operators
from harness.case.peculiar import CONSTANT, EXCLUDED
from harness.case.samples import SPARE, operator_samples
from harness.cli import app as cli
from harness.commands import sweep_command
from harness.errors import NothingToRunError, UsageError
from harness.records import ExitCode, Finding, Outcome
from harness.report.figures import operators_figure, operators_frame, operators_text
from harness.report.frames import cases_frame, findings_frame
from harness.run.baseline import changes, check_comparable
from harness.run.journal import read_run
from harness.run.options import RunOptions
from harness.run.sweep import Sweep, sweep
from harness.verify.operators import verify_operator

FAKES = '''\
"""A database of operators as PyTorch's test suite would describe them, right ones and wrong ones."""

import torch
from torch.testing._internal.opinfo.core import OpInfo, SampleInput


class WrongSquare(torch.autograd.Function):
    """x² whose gradient lacks a factor of 1 + 1e-9."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * 2 * x * (1 + 1e-9)


def tensors(shape, device, dtype, requires_grad, count=1):
    return [torch.randn(shape, device=device, dtype=dtype, requires_grad=requires_grad) for _ in range(count)]


def unary(info, device, dtype, requires_grad, **kwargs):
    for _ in range(5):
        yield SampleInput(tensors((3,), device, dtype, requires_grad)[0])


def mixed(info, device, dtype, requires_grad, **kwargs):
    x, w, twice = tensors((3,), device, dtype, requires_grad, 3)
    table = torch.tensor([0, 2, 1], device=device)
    yield SampleInput([x, w], args=(table, 2.5, twice), kwargs={"scale": torch.ones(3, dtype=dtype), "also": twice})


def late(info, device, dtype, requires_grad, **kwargs):
    for number in range(6):
        x = torch.full((2,), -1.0 if number < 4 else 1.0, device=device, dtype=dtype, requires_grad=requires_grad)
        yield SampleInput(x)


def sparse(info, device, dtype, requires_grad, **kwargs):
    yield SampleInput(torch.eye(2, dtype=dtype).to_sparse().requires_grad_(requires_grad))
    yield SampleInput(torch.zeros(0, dtype=dtype, requires_grad=requires_grad))
    yield SampleInput(torch.full((2,), torch.inf, dtype=dtype, requires_grad=requires_grad))


def mix(pair, table, factor, twice, *, scale, also):
    return {"floats": (pair[0] * pair[1] * factor + twice * also + scale)[table], "integers": table}


def op(name, function, samples=unary, **more):
    return OpInfo(name, op=function, dtypes={torch.float64, torch.float32}, sample_inputs_func=samples, **more)


right = op("right", torch.exp)
wrong = op("wrong", WrongSquare.apply)
op_db = [
    right,
    wrong,
    op("mixed", mix, mixed),
    op("late", torch.relu, late),
    op("sparse", lambda x: x * 1, sparse),
    op("noisy", lambda x: x * torch.rand_like(x)),
    op("whole", lambda x: x.sign(), supports_autograd=False),
    op("breaks", lambda x: x / "two"),
]
'''


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """The name of an operator database made for these tests."""
    (tmp_path / "fake_operators.py").write_text(FAKES)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fake_operators", raising=False)
    return "fake_operators:op_db"


def swept(database, *names, baseline=None, samples=2, out=None, **more):
    """A sweep in this process."""
    wanted = Sweep(names=names, samples=samples, baseline=baseline, database=database)
    return sweep(wanted, RunOptions(inline=True, out=out, **more))


def only(run):
    """The one record of a run."""
    (record,) = run.records
    return record


def test_the_whole_database_is_planned_and_every_exclusion_has_its_reason():
    """All operators are listed; most can be verified, and those that cannot each say why."""
    operators = choose_operators()
    excluded = [operator for operator in operators if operator.excluded is not None]
    assert len(operators) > 600 and len(operators) - len(excluded) > 450
    assert all(operator.excluded.endswith(".") and len(operator.excluded) > 20 for operator in excluded)
    assert {name for name in EXCLUDED if name not in {operator.id for operator in excluded}} == set()


def test_operators_are_selected_as_cases_are():
    """-k takes pytest's grammar, on names."""
    names = [operator.id for operator in choose_operators(keyword="hardsigmoid or (linalg and not eig and svd)")]
    assert names == ["nn.functional.hardsigmoid", "linalg.svd", "linalg.svdvals"]


def test_an_unknown_operator_gets_the_nearest_names():
    """A misspelt name is the caller's mistake."""
    with pytest.raises(UsageError, match=r"Did you mean .*addmm"):
        choose_operators(["addmn"])


def test_a_keyword_that_matches_nothing_leaves_nothing_to_run():
    """As with cases."""
    with pytest.raises(NothingToRunError):
        choose_operators(keyword="no-such-operator")


def test_an_unknown_dtype_is_refused():
    """The message lists those there are."""
    with pytest.raises(UsageError, match="float64, float32"):
        choose_operators(dtype="float128")


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    """PyTorch's database needs packages that torch does not bring along."""
    (tmp_path / "needs_more.py").write_text("import expecttest_of_another_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="pip install expecttest_of_another_name"):
        choose_operators(database="needs_more:op_db")


def test_tensors_become_inputs_and_all_else_is_closed_over(fakes):
    """Lists are flattened, keywords keep their names, a tensor that is there twice is one input, integers take part."""
    (sample,) = operator_samples(Operator(id="mixed", database=fakes), seed=0).usable
    assert list(sample.subject.inputs) == ["input_0", "input_1", "arg1", "arg3", "scale"]
    assert sample.subject.differentiable == ("input_0", "input_1", "arg3")
    values = sample.point.values
    expected = (values["input_0"] * values["input_1"] * 2.5 + values["arg3"] ** 2 + 1)[[0, 2, 1]]
    (result,) = sample.subject.function(values)
    assert torch.equal(result, expected)


def test_samples_depend_on_the_seed_alone_and_disturb_no_generator(fakes):
    """Equal seeds give equal samples, others give others; the global generators go on as if nothing had been drawn."""
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    drawn = [operator_samples(Operator(id="right", database=fakes), seed=seed).usable[1] for seed in (0, 0, 1)]
    first, again, other = (sample.point.values["input"] for sample in drawn)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]  # noqa: NPY002


def test_what_cannot_be_verified_is_counted_with_its_reason(fakes):
    """Sparse, empty and infinite samples are left aside; with none left the operator is skipped and says so."""
    record = only(swept(fakes, "sparse").run)
    assert record.outcome is Outcome.SKIPPED
    assert all(words in record.message for words in ("is sparse", "requires a gradient", "not finite"))


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("right", Outcome.PASS, "checks passed"),
        ("wrong", Outcome.FAIL, "+1e-09"),
        ("noisy", Outcome.SKIPPED, "random by design"),
        ("whole", Outcome.PASS, "values alone"),
        ("breaks", Outcome.ERROR, "TypeError"),
        ("late", Outcome.PASS, "checks passed"),
    ],
)
def test_the_verdict_on_an_operator(fakes, name, outcome, words):
    """A gradient wrong in its ninth digit fails; what is right passes, even if only later samples show its gradient."""
    record = only(swept(fakes, name).run)
    assert record.outcome is outcome and words in record.message


def test_further_samples_are_for_gradients_that_were_zero(fakes):
    """An operator that was seen is done after the samples asked for."""
    points = {
        name: {finding.point for finding in only(swept(fakes, name).run).findings if finding.point}
        for name in ("right", "late")
    }
    assert (len(points["right"]), len(points["late"])) == (2, 5)
    assert SPARE * 2 >= 5


def test_a_record_names_the_command_that_repeats_exactly_it(fakes):
    """One operator by its exact name, with the sweep's settings."""
    record = only(swept(fakes, "wrong", seed=3).run)
    assert record.command == "harness torch wrong --seed 3 --samples 2" == record.findings[0].command
    line = sweep_command("add", 0, dtype="float32", samples=1, device="cuda")
    assert line == "harness torch add --seed 0 --samples 1 --dtype float32 --device cuda"


def test_lower_precision_is_checked_at_samples_of_that_dtype(fakes):
    """Float32 samples are checked in float64, where they are exact, and in float32."""
    record = only(
        sweep(Sweep(names=("right",), dtype="float32", samples=1, database=fakes), RunOptions(inline=True)).run
    )
    assert record.outcome is Outcome.PASS
    assert {finding.dtype for finding in record.findings} == {"float64", "float32"}


def test_hardsigmoid_is_found_and_its_neighbour_is_not():
    """PyTorch's hardsigmoid multiplies by a float32 sixth, 3e-8 off; hardtanh is right."""
    found = {
        name: verify_operator(Operator(id=f"nn.functional.{name}"), seed=0) for name in ("hardsigmoid", "hardtanh")
    }
    assert found["hardtanh"].outcome is Outcome.PASS
    assert found["hardsigmoid"].outcome is Outcome.FAIL and "2.98e-08" in found["hardsigmoid"].message


@pytest.mark.parametrize(
    ("name", "outcome", "words"),
    [
        ("special.bessel_j0", Outcome.FAIL, "by ball arithmetic"),
        ("special.modified_bessel_i0", Outcome.PASS, "certified"),
        ("special.airy_ai", Outcome.SKIPPED, "has no ball rule"),
    ],
)
def test_values_of_operators_without_gradient_are_held_against_their_enclosures(name, outcome, words):
    """PyTorch's J₀ is off in its seventh digit beyond 5, its I₀ is right, and what has no enclosure is skipped."""
    record = verify_operator(Operator(id=name, differentiable=False), seed=0)
    assert record.outcome is outcome and words in record.message


@pytest.mark.parametrize(
    "name", ["nanmedian", "index_reduce.amin", "nn.functional.multilabel_margin_loss", "linalg.svd", "float"]
)
def test_operators_that_select_or_have_a_gauge_pass(name):
    """Rounding changes nothing selected; a decomposition has well-defined parts; a float32 result is one by design."""
    assert verify_operator(Operator(id=name, samples=2), seed=0).outcome is Outcome.PASS


@pytest.mark.parametrize("name", sorted(EXCLUDED))
def test_every_exclusion_is_still_needed(name):
    """Verified all the same, an excluded operator does not pass; one that does must leave the table."""
    assert verify_operator(Operator(id=name, samples=3), seed=0).outcome is not Outcome.PASS


@pytest.mark.parametrize(("name", "key"), sorted(CONSTANT))
def test_every_constant_input_is_still_needed(name, key, monkeypatch):
    """The operator passes with the input held constant, saying so, and does not without."""
    record = verify_operator(Operator(id=name, samples=1), seed=0)
    assert record.outcome is Outcome.PASS
    assert any(finding.message.startswith(f"{key} is held constant") for finding in record.findings)
    monkeypatch.setattr(adapter, "CONSTANT", {})
    assert verify_operator(Operator(id=name, samples=1), seed=0).outcome is not Outcome.PASS


@pytest.fixture
def mended(fakes, monkeypatch):
    """A function that makes the wrong operator right, or a right one wrong."""
    import fake_operators

    def change(name, function):
        entry = next(entry for entry in fake_operators.op_db if entry.name == name)
        monkeypatch.setattr(entry, "op", function)

    return change


@pytest.fixture
def before(fakes, tmp_path):
    """The results of an earlier sweep over one right and one wrong operator."""
    swept(fakes, "right", "wrong", out=tmp_path / "before")
    return tmp_path / "before" / "results.jsonl"


def test_without_a_baseline_a_wrong_operator_fails_the_sweep(before):
    """The exit code is that of every run."""
    assert read_run(before.parent).footer.exit_code == ExitCode.FAILED


def test_what_was_wrong_before_is_no_news(fakes, before):
    """With a baseline the same sweep changes nothing and passes."""
    again = swept(fakes, "right", "wrong", baseline=before)
    assert again.changes == () and again.run.footer.exit_code == ExitCode.PASSED


def test_what_got_worse_fails(fakes, before, mended):
    """An operator that passed and does not any more is named and fails the sweep."""
    import fake_operators

    mended("right", fake_operators.WrongSquare.apply)
    now = swept(fakes, "right", "wrong", baseline=before)
    (change,) = now.changes
    assert (change.job, change.direction, change.before, change.after) == (
        "verify right", "worse", Outcome.PASS, Outcome.FAIL,
    )  # fmt: skip
    assert now.run.footer.exit_code == ExitCode.FAILED


def test_what_got_better_passes(fakes, before, mended):
    """An operator that was mended is named, and does not fail the sweep."""
    mended("wrong", torch.square)
    now = swept(fakes, "right", "wrong", baseline=before)
    assert [(change.job, change.direction) for change in now.changes] == [("verify wrong", "better")]
    assert now.run.footer.exit_code == ExitCode.PASSED


def test_a_part_of_the_baseline_can_be_swept(fakes, before):
    """Operators not asked for are no change."""
    assert swept(fakes, "right", baseline=before).changes == ()


def test_a_new_operator_counts_as_worse_only_when_it_fails(fakes, tmp_path):
    """There is nothing it could be compared with."""
    swept(fakes, "late", out=tmp_path / "before")
    now = swept(fakes, "right", "wrong", baseline=tmp_path / "before")
    assert [(c.job, c.direction) for c in now.changes] == [("verify wrong", "worse"), ("verify right", "other")]


def test_an_operator_that_is_gone_is_said_and_is_not_worse(fakes, before):
    """PyTorch removes operators, too."""
    earlier = read_run(before.parent)
    run = replace(earlier, records=earlier.records[:1])
    found = changes(run, earlier, known={"right"})
    assert [(change.job, change.direction, change.after) for change in found] == [("verify wrong", "other", None)]


def test_a_failure_that_grew_is_worse(before):
    """Failing before is no licence: another comparison that fails, or a lost digit, is named."""
    earlier = read_run(before.parent)
    wrong = next(record for record in earlier.records if record.case == "wrong")

    def with_findings(alter):
        findings = tuple(alter(f) if f.outcome is Outcome.FAIL else f for f in wrong.findings)
        return replace(earlier, records=(replace(wrong, findings=findings),))

    coarser = with_findings(lambda finding: replace(finding, digits=3.0))
    (change,) = changes(coarser, earlier, known={"right", "wrong"})
    assert change.direction == "worse" and "digits" in change.message
    assert changes(earlier, coarser, known={"right", "wrong"})[0].direction != "worse"
    new = Finding(check="another", outcome=Outcome.FAIL, message="is wrong as well", point="sample 0")
    more = replace(earlier, records=(replace(wrong, findings=(*wrong.findings, new)),))
    assert "is wrong as well" in changes(more, earlier, known={"right", "wrong"})[0].message


@pytest.mark.parametrize("other", [{"seed": 1}, {"samples": 1}])
def test_a_baseline_of_other_settings_is_refused(fakes, before, other):
    """Other samples would look like changes."""
    with pytest.raises(UsageError, match="Sweep with the same settings"):
        swept(fakes, "right", baseline=before, **other)


def test_a_baseline_that_is_no_sweep_is_refused(before):
    """A run of case files holds no operators."""
    earlier = read_run(before.parent)
    with pytest.raises(UsageError, match="holds no operators"):
        check_comparable(replace(earlier, records=()), tags=("torch",), seed=0)


def test_the_report_counts_operators_by_digits(before):
    """A bar per digit, a colour per ending, and a sentence; an error of 1e-9 is 8.99 digits."""
    run = read_run(before.parent)
    operators = operators_frame(cases_frame(run), findings_frame(run))
    endings = dict(zip(operators["case"], operators["ending"], strict=True))
    assert endings == {"right": "certified", "wrong": "fail"}
    assert 8 < operators.set_index("case")["digits"]["wrong"] < 10
    assert operators_text(operators) == "2 operators verified: 1 certified, 1 fail."
    figure = operators_figure(operators)
    assert {bar.name: (list(bar.x), list(bar.y)) for bar in figure.data}["fail"] == ([8], [1])
    assert operators_figure(operators.iloc[:0]) is None


def test_the_command_line_sweeps_in_workers(tmp_path, monkeypatch, capsys):
    """`harness torch` ends with 1 for hardsigmoid, writes the report, and prints one JSON document."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    arguments = ["torch", "-k", "hardsigmoid or special.i1e", "--samples", "1", "-j", "2", "--out", "out", "--json"]
    monkeypatch.setattr(sys, "argv", ["harness", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    document = json.loads(capsys.readouterr().out)
    assert ended.value.code == ExitCode.FAILED
    assert {record["case"]: record["outcome"] for record in document["records"]} == {
        "nn.functional.hardsigmoid": "fail",
        "special.i1e": "pass",
    }
    assert Path("out/report.html").stat().st_size > 0
