"""Passes: each runs what it says, with gradients that are right, and prepares itself outside the timed interval."""

from dataclasses import replace

import pytest
import torch

from harness.bench.passes import GRADIENT_PASSES, PASSES, analytic, compiled, make_setting
from harness.errors import UsageError


def cube(tensors):
    """Sum of cubes: the gradient is 3x²."""
    return ((tensors["x"] ** 3).sum(),)


def setting_for(function=cube, differentiable=("x",), optimizer="SGD"):
    """A setting at x = (1, 2)."""
    values = {"x": torch.tensor([1.0, 2.0], dtype=torch.float64)}
    generator = torch.Generator().manual_seed(0)
    return make_setting(function, values, differentiable, generator=generator, optimizer=optimizer)


def run(work, calls=1):
    """Prepare and make some calls; return what the last gave."""
    if work.before is not None:
        work.before(calls)
    return [work.call() for _ in range(calls)][-1]


def expected(setting):
    """The gradient by hand, times the cotangent."""
    return 3 * setting.values["x"] ** 2 * setting.cotangents[0]


class OnlyOnce(torch.autograd.Function):
    """Cubes whose backward pass refuses to be walked twice."""

    @staticmethod
    def forward(ctx, values):
        """Cube."""
        ctx.walked = False
        ctx.save_for_backward(values)
        return values**3

    @staticmethod
    def backward(ctx, cotangent):
        """Differentiate once."""
        if ctx.walked:
            raise RuntimeError("the buffers are gone")
        ctx.walked = True
        return 3 * ctx.saved_tensors[0] ** 2 * cotangent


def only_once(tensors):
    """A subject that cannot keep its graph."""
    return (OnlyOnce.apply(tensors["x"]).sum(),)


def test_value_records_no_graph():
    """The value alone is computed without autograd."""
    (output,) = run(PASSES["value"](setting_for()))
    assert (output.item(), output.requires_grad) == (9.0, False)


def test_forward_records_a_graph():
    """The forward pass makes the graph that a backward pass needs."""
    (output,) = run(PASSES["forward"](setting_for()))
    assert output.requires_grad


@pytest.mark.parametrize("name", ["backward", "forward_backward"])
def test_gradients_are_right(name):
    """What is timed is the gradient of the subject for the drawn cotangent."""
    setting = setting_for()
    (gradient,) = run(PASSES[name](setting), 3)
    assert torch.allclose(gradient, expected(setting))


@pytest.mark.parametrize("name", list(PASSES))
def test_no_gradient_is_left_behind(name):
    """Nothing accumulates on the inputs, so there is nothing to clear."""
    setting = setting_for()
    run(PASSES[name](setting), 2)
    assert setting.leaves["x"].grad is None


def test_backward_keeps_one_graph():
    """The graph is made once; calls of the backward pass do not evaluate the function."""
    calls = []

    def counted(tensors):
        calls.append(1)
        return cube(tensors)

    work = PASSES["backward"](setting_for(counted))
    before = len(calls)
    run(work, 5)
    assert len(calls) == before


@pytest.mark.parametrize("function", [cube, only_once])
def test_a_graph_that_cannot_be_kept_is_made_for_each_call(function):
    """Where a graph can be walked only once, as many are made before the block as it has calls."""
    setting = replace(setting_for(function), fresh_graphs=function is cube)
    work = PASSES["backward"](setting)
    (gradient,) = run(work, 4)
    assert torch.allclose(gradient, expected(setting))
    assert work.most_calls < 100


def test_the_analytic_gradient_takes_autograds_place():
    """The given gradient is called, on inputs without graphs, with the cotangents."""
    seen = []

    def gradient(values, cotangents):
        seen.append((values["x"].requires_grad, len(cotangents)))
        return {"x": 3 * values["x"] ** 2 * cotangents[0]}

    setting = analytic(setting_for(), gradient)
    for name in GRADIENT_PASSES:
        run(PASSES[name](setting))
    assert seen == [(False, 1), (False, 1)]


def test_a_step_moves_copies():
    """The optimizer steps on parameters of its own; the inputs stay what they are."""
    setting = setting_for(optimizer="Adam")
    run(PASSES["step"](setting), 3)
    assert setting.values["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", ["NoSuch", "lr_scheduler"])
def test_an_unknown_optimizer(name):
    """A name that is no optimizer is refused before anything is timed."""
    with pytest.raises(UsageError, match=f"optimizer='{name}'"):
        PASSES["step"](setting_for(optimizer=name))


def test_outputs_without_a_graph_take_no_part():
    """An integer output beside a real one does not stop the backward pass."""
    setting = setting_for(lambda tensors: (*cube(tensors), tensors["x"].argmax()))
    (gradient,) = run(PASSES["backward"](setting))
    assert torch.allclose(gradient, expected(setting))


def test_complex_outputs_have_complex_cotangents():
    """A complex output gets a complex upstream gradient."""
    setting = setting_for(lambda tensors: (torch.complex(tensors["x"], tensors["x"]),))
    assert setting.cotangents[0].dtype == torch.complex128


def test_cotangents_follow_from_the_generator():
    """The same seed gives the same cotangents."""
    assert torch.equal(setting_for().cotangents[0], setting_for().cotangents[0])


def test_compiling_is_left_to_the_first_call(monkeypatch):
    """The compiler gets the function for exact shapes, and its graphs are walked once."""
    asked = []
    monkeypatch.setattr(torch, "compile", lambda function, **options: asked.append(options) or function)
    assert compiled(setting_for()).fresh_graphs
    assert asked == [{"dynamic": False}]


def test_a_step_has_gradients_and_keeps_its_state(monkeypatch):
    """Gradients are there from the start, of order 1 and not all alike; a second call finds the state of the first."""
    made = []

    class Recorded(torch.optim.Adam):
        def __init__(self, parameters):
            super().__init__(parameters)
            made.append(self)

    monkeypatch.setattr(torch.optim, "Recorded", Recorded, raising=False)
    work = PASSES["step"](setting_for(optimizer="Recorded"))
    (parameter,) = made[0].param_groups[0]["params"]
    assert parameter.grad.min() >= 0.5
    assert parameter.grad.max() <= 1.5
    assert parameter.grad.unique().numel() == 2
    run(work, 2)
    state = made[0].state[parameter]
    assert state["step"] == 2
    assert state["exp_avg"].abs().min() > 0


def test_an_optimizer_that_evaluates_by_itself_is_refused():
    """L-BFGS has no step without the function; the message says so."""
    with pytest.raises(UsageError, match=r"optimizer='LBFGS' .* evaluates the function in each step"):
        PASSES["step"](setting_for(optimizer="LBFGS"))
