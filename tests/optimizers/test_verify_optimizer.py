"""The public function, the catalogue, declared deviations, and users' optimizers."""

from __future__ import annotations

import own
import pytest
import torch
from planted_adam_formula import EpsInside

from harness.case.case import Case
from harness.case.schema import CaseModel
from harness.case.trust import Trust
from harness.errors import UntrustedError, UsageError
from harness.optimizers import compiled
from harness.optimizers.catalogue import NamedOptimizer, choose_optimizers, optimizer_classes
from harness.optimizers.deviations import excused
from harness.optimizers.option_sets import SETS, sets_of
from harness.optimizers.rules import RULES
from harness.optimizers.under_test import SWITCHES, UnderTest
from harness.optimizers.user import user_optimizers
from harness.optimizers.verify import verify_named, verify_optimizer, verify_user
from harness.records import Finding, Outcome
from harness.run.options import RunOptions
from harness.run.plan import plan

CODE = """
import torch

class Mine(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(FACTOR * group["lr"] * parameter.grad)
        return loss

def rule(parameter, gradients, *, lr=0.1):
    for gradient in gradients:
        parameter = parameter - lr * gradient
        yield parameter
"""


def plain_rule(parameter, gradients, *, lr=1e-3):
    """Plain gradient descent."""
    for gradient in gradients:
        parameter = parameter - lr * gradient
        yield parameter


@pytest.fixture
def case(tmp_path):
    """A case with an optimizer beside it, used with two option sets."""
    (tmp_path / "mine.py").write_text(CODE.replace("FACTOR * ", ""))
    entry = {"optimizer": {"python": "./mine.py:Mine", "rule": "./mine.py:rule"}, "options": {"lr": 0.1}}
    document = {
        "case": "own", "title": "t", "inputs": {"x": {}}, "function": "x**2",
        "converge": [entry, {**entry, "options": {"lr": 0.2}}, entry, {"optimizer": "SGD"}],
    }  # fmt: skip
    return Case(model=CaseModel.model_validate(document), path=tmp_path / "own.yaml", line=1)


def test_a_correct_optimizer_passes_with_its_rule():
    """A rule of five lines is enough."""
    made = verify_optimizer(own.OwnSGD, rule=plain_rule, options=[{"lr": 0.1}, {"lr": 0.3}], name="mine")
    assert (made.outcome, made.case) == (Outcome.PASS, "mine")


def test_without_a_rule_the_update_is_inconclusive():
    """All other checks run, and the record says what is missing."""
    made = verify_optimizer(own.OwnAdam, options={"lr": 0.1})
    assert made.outcome is Outcome.INCONCLUSIVE
    assert "no update rule is known" in made.message
    assert sum(one.outcome is Outcome.PASS for one in made.findings) > 20


def test_a_wrong_optimizer_fails():
    """The headline names the check and a number, and one fault of the formula is told once."""
    made = verify_optimizer(EpsInside, rule=RULES["Adam"], options={})
    assert made.outcome is Outcome.FAIL
    assert made.message.startswith("update rule: fixed[")
    assert [one.check for one in made.findings if one.outcome is Outcome.FAIL] == ["update rule"]


def test_a_state_that_is_not_stored_is_named():
    """State beside `state` is in no state_dict, and the finding says so."""

    class Beside(torch.optim.SGD):
        def state_dict(self):
            return {**super().state_dict(), "state": {}}

    made = verify_optimizer(Beside, options={"lr": 0.1, "momentum": 0.9})
    assert made.message.startswith("state_dict round trip: ")
    assert "holds no state of any parameter" in made.message


def test_an_optimizer_that_cannot_step_is_an_error():
    """Nothing raises; the reason is in the record."""

    class Broken(torch.optim.SGD):
        def step(self, closure=None):
            raise KeyError("nothing works")

    made = verify_optimizer(Broken)
    assert made.outcome is Outcome.ERROR
    assert "nothing works" in made.message


def test_a_rule_with_an_unknown_option_is_inconclusive():
    """An option the rule does not take is not silently left out."""
    made = verify_optimizer(own.OwnSGD, rule=plain_rule, options={"momentum": 0.9})
    assert "takes no option 'momentum'" in made.message


def test_an_optimizer_that_is_new_in_torch_appears_by_itself(monkeypatch):
    """It is listed and verified, with the update undecided, and options that no set exercises are named."""

    class Brandnew(torch.optim.SGD):
        pass

    monkeypatch.setattr(torch.optim, "Brandnew", Brandnew, raising=False)
    assert "Brandnew" in {one.id for one in choose_optimizers()}
    made = verify_named(NamedOptimizer(id="Brandnew"), seed=0)
    assert made.tags == ("optimizer",)
    assert made.outcome is Outcome.INCONCLUSIVE
    assert "no update rule is known" in made.message
    open_ones = {one.check: one.message for one in made.findings if one.outcome is Outcome.INCONCLUSIVE}
    assert set(open_ones) == {"update rule", "every option is exercised"}
    assert "dampening" in open_ones["every option is exercised"]
    assert "momentum" not in open_ones["every option is exercised"]


def test_a_new_optimizer_is_checked_with_common_options_on(monkeypatch):
    """A buffer that only momentum has is lost when a state is loaded, which the defaults would not show."""

    class Forgetful(torch.optim.SGD):
        def load_state_dict(self, state_dict):
            super().load_state_dict(state_dict)
            self.state.clear()

    monkeypatch.setattr(torch.optim, "Forgetful", Forgetful, raising=False)
    made = verify_named(NamedOptimizer(id="Forgetful"), seed=0)
    assert made.outcome is Outcome.FAIL
    assert made.message.startswith("state_dict round trip: ")


def test_common_options_that_a_new_optimizer_refuses_are_left_out(monkeypatch):
    """What cannot be turned on without others stays off."""

    class Picky(torch.optim.SGD):
        def __init__(self, params, lr=1e-3, momentum=0.0, **options):
            if momentum:
                raise ValueError("momentum wants more")
            super().__init__(params, lr, **options)

    monkeypatch.setattr(torch.optim, "Picky", Picky, raising=False)
    made = verify_named(NamedOptimizer(id="Picky"), seed=0)
    assert not any("momentum=" in one.point or "weight_decay=" in one.point for one in made.findings)
    assert made.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("name", ["SGD", "Adagrad"])
def test_optimizers_of_torch_pass(name):
    """What is known to deviate is excused with its reason, and nothing else is wrong."""
    made = verify_named(NamedOptimizer(id=name), seed=3)
    assert made.outcome is Outcome.PASS, made.message
    assert any(one.excused for one in made.findings) == (name == "Adagrad")


@pytest.mark.parametrize("name", sorted(SETS))
def test_every_documented_option_is_exercised(name):
    """Each option is at another value than its default in some set."""
    tested = UnderTest(name=name, make=optimizer_classes()[name], sets=sets_of(name))
    used = {option for options in tested.sets for option, value in options.items() if value != tested.defaults[option]}
    assert set(tested.defaults) - set(SWITCHES) <= used


def test_every_optimizer_of_this_torch_has_option_sets():
    """The table knows what is installed."""
    assert set(optimizer_classes()) <= set(SETS)


def test_a_deviation_that_is_mended_is_a_failure():
    """A declaration that nothing shows must go; in other releases it need not be met."""
    passing = (Finding(check="update rule", outcome=Outcome.PASS, message=""),)
    assert excused("Adagrad", passing, "2.13.0")[-1].outcome is Outcome.FAIL
    assert excused("Adagrad", passing, "2.99.0") == passing


def test_a_larger_error_than_declared_is_not_excused():
    """A deviation of rounding does not cover a wrong formula."""
    check = "update rule, float32 the default dtype"
    wrong = Finding(check=check, outcome=Outcome.FAIL, message="", error=0.1, expected=1.0)
    small = Finding(check=check, outcome=Outcome.FAIL, message="", error=1e-8, expected=1.0)
    marked = excused("NAdam", (wrong, small), "2.99")
    assert [one.excused is not None for one in marked] == [False, True]


def test_unknown_names_are_refused():
    """The nearest name is offered."""
    with pytest.raises(UsageError, match=r"Did you mean Adam\?"):
        choose_optimizers(["adam"])


def test_a_users_optimizer_is_planned_once(case):
    """One job per distinct optimizer, with every option set it is used with."""
    (one,) = user_optimizers([case])
    assert one.options == ((("lr", 0.1),), (("lr", 0.2),))
    jobs = plan([case], RunOptions(kinds=("verify", "converge")))
    assert [job.name for job in jobs if job.name.startswith("optimizer")] == ["optimizer ./mine.py:Mine"]


def test_a_users_optimizer_is_verified(case):
    """It passes as written, and fails when it steps too far."""
    (one,) = user_optimizers([case])
    trust = Trust(folders=(case.path.parent,))
    assert verify_user(one, trust=trust, seed=0).outcome is Outcome.PASS


def test_a_users_optimizer_is_compiled_at_thorough_effort(case, monkeypatch):
    """It gets every check that PyTorch's own get, and the command that repeats it says so."""
    monkeypatch.setattr(compiled, "lookup_backend", lambda _: lambda graph, inputs: graph.forward)
    (one,) = user_optimizers([case])
    made = verify_user(one, trust=Trust(folders=(case.path.parent,)), seed=0, thorough=True)
    assert made.outcome is Outcome.PASS
    assert "compiled ~ for-loop" in {one.check for one in made.findings}
    assert made.command.endswith("--effort thorough")


def test_a_users_wrong_optimizer_fails(case, tmp_path):
    """A step one part in 10⁹ too long is seen."""
    (tmp_path / "mine.py").write_text(CODE.replace("FACTOR", "(1 + 1e-9)"))
    (one,) = user_optimizers([case])
    made = verify_user(one, trust=Trust(folders=(tmp_path,)), seed=0)
    assert made.outcome is Outcome.FAIL


def test_untrusted_code_does_not_run(case):
    """Optimizers are Python code like any other."""
    (one,) = user_optimizers([case])
    with pytest.raises(UntrustedError):
        verify_user(one, trust=Trust(), seed=0)
