"""Counts: right by hand, equal when taken twice, and different as soon as a pass does more."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from harness.bench.counts import exact_counts, saved_bytes
from harness.bench.passes import PASSES, analytic, compiled, make_setting
from harness.bench.variants import setting_of
from harness.case.subject import Input, Subject

N, D = 50, 4
"""Rows and columns; numbers are of 4 bytes."""


def residuals(tensors):
    """Mean square residual of a linear model."""
    return (((tensors["y"] - tensors["X"] @ tensors["w"]) ** 2).sum() / N,)


def extra_pass(tensors):
    """The same, walking over the residuals once more."""
    return (((tensors["y"] - tensors["X"] @ tensors["w"]).clone() ** 2).sum() / N,)


def setting_for(function=residuals, optimizer="SGD", **values):
    """A setting with seeded inputs; only `w` is differentiable."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"X": (N, D), "y": (N,), "w": (D,)}
    drawn = values or {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    wanted = ("w",) if "w" in drawn else tuple(drawn)
    return make_setting(function, drawn, wanted, generator=generator, optimizer=optimizer)


@pytest.mark.parametrize("what", list(PASSES))
@pytest.mark.parametrize("variant", ["autograd", "jacrev", "jacfwd"])
def test_counts_are_the_same_twice(what, variant):
    """Counted twice, from scratch, everything is equal: counts may be gated exactly."""
    subject = Subject(name="residuals", inputs={"w": Input(shape=(D,))}, function=residuals)
    first, second = (exact_counts(setting_of(variant, setting_for(), subject), what) for _ in range(2))
    assert first == second
    assert first.operator_calls > 0


def test_operators_are_counted_by_name():
    """One product, a difference, a square, a sum and a division; nothing else."""
    counts = exact_counts(setting_for(), "value")
    assert dict(counts.operators) == {
        "aten.mv": 1,
        "aten.sub.Tensor": 1,
        "aten.pow.Tensor_Scalar": 1,
        "aten.sum": 1,
        "aten.div.Tensor": 1,
    }
    assert counts.operator_calls == 5


def test_an_extra_pass_over_the_data_shows():
    """A function that computes the same with one more operator has other counts."""
    assert exact_counts(setting_for(extra_pass), "value") != exact_counts(setting_for(), "value")


def test_flops_of_a_matrix_and_a_vector():
    """Two per entry of the matrix: once forward, once in the gradient."""
    setting = setting_for()
    assert [exact_counts(setting, what).flops for what in ("value", "backward", "forward_backward")] == [
        2 * N * D,
        2 * N * D,
        4 * N * D,
    ]


def test_flops_of_other_products():
    """Matrices: 2·n·m·k; vectors: 2·n; attention: two products of matrices per head."""
    square, vector = torch.ones(8, 8), torch.ones(8)
    heads = torch.ones(1, 2, 16, 8)
    assert exact_counts(setting_for(lambda t: (t["a"] @ t["a"],), a=square), "value").flops == 2 * 8**3
    assert exact_counts(setting_for(lambda t: (t["a"] @ t["a"],), a=vector), "value").flops == 2 * 8
    attention = setting_for(lambda t: (scaled_dot_product_attention(t["a"], t["a"], t["a"]),), a=heads)
    assert exact_counts(attention, "value").flops == 2 * 2 * (2 * 16 * 16 * 8)
    assert exact_counts(attention, "forward_backward").flops > 3 * 2 * 2 * (2 * 16 * 16 * 8)


def test_element_wise_work_has_no_flops():
    """What the counter cannot see is zero, not a guess."""
    assert exact_counts(setting_for(lambda t: (t["a"].sin(),), a=torch.ones(8)), "value").flops == 0


def test_bytes_a_value_moves():
    """All inputs are read and the output is written; the residuals in between count nothing."""
    assert exact_counts(setting_for(), "value").bytes_moved == 4 * (N * D + N + D + 1)


def test_bytes_a_forward_pass_moves():
    """What is saved for the backward pass outlives the call and is written too: the residuals."""
    assert exact_counts(setting_for(), "forward").bytes_moved == 4 * (N * D + N + D + 1 + N)


def test_bytes_a_backward_pass_moves():
    """The cotangent, the residuals and the matrix are read, the gradient is written."""
    assert exact_counts(setting_for(), "backward").bytes_moved == 4 * (1 + N + N * D + D)


def test_bytes_of_a_step():
    """SGD reads the gradient, and reads and writes the parameter."""
    assert exact_counts(setting_for(), "step").bytes_moved == 4 * 3 * D


def test_a_step_is_counted_with_its_state():
    """Adam's state is there before a step is counted: parameter, two moments and the step number, read and written."""
    counts = exact_counts(setting_for(optimizer="Adam"), "step")
    assert counts.bytes_moved == 4 * (2 * 3 * D + D + 2)
    assert not [name for name, _ in counts.operators if "zeros" in name]


def test_views_move_nothing():
    """A transposed view costs an operator and no byte; copying it costs both."""
    view = exact_counts(setting_for(lambda t: (t["a"].t(),), a=torch.ones(3, 5)), "value")
    copy = exact_counts(setting_for(lambda t: (t["a"].t().contiguous(),), a=torch.ones(3, 5)), "value")
    assert (view.bytes_moved, copy.bytes_moved) == (0, 4 * 15 * 2)


def test_overwritten_memory_is_not_read():
    """A tensor that is filled is written only, and a shape that is borrowed is not read."""
    counts = exact_counts(setting_for(lambda t: (torch.empty_like(t["a"]).fill_(1.0),), a=torch.ones(6)), "value")
    assert counts.bytes_moved == 4 * 6


def test_rows_that_are_looked_up():
    """Of a table only the rows that come out count as read, besides the places (8 bytes each)."""
    rows = torch.tensor([3, 1])
    setting = setting_for(lambda t: (t["w"].index_select(0, t["rows"]),), w=torch.ones(100, 2), rows=rows)
    assert exact_counts(setting, "value").bytes_moved == 4 * 4 + 2 * 8 + 4 * 4


def test_what_is_saved_is_counted_once():
    """Saved twice under two shapes, a storage counts once; inputs that are kept are counted apart."""

    def twice(tensors):
        squares = tensors["w"].exp()
        return ((squares * squares.view(2, 2).reshape(4)).sum(),)

    assert saved_bytes(setting_for(twice, w=torch.ones(4))) == (4 * 4, 0)
    assert saved_bytes(setting_for()) == (4 * N, 4 * N * D)


def test_a_slice_keeps_all_of_its_storage_alive():
    """What is saved is weighed by the storage it holds, not by the entries that are used."""
    new, _ = saved_bytes(setting_for(lambda t: ((t["w"].exp()[:1] ** 2).sum(),), w=torch.ones(10)))
    assert new == 4 * 10


def test_saved_bytes_stand_where_something_is_saved():
    """The passes that walk a graph have them; the value, a step and an analytic gradient do not."""
    setting = setting_for()
    saved = {what: exact_counts(setting, what).saved_bytes for what in PASSES}
    assert {what for what, size in saved.items() if size is not None} == {"forward", "backward", "forward_backward"}
    by_hand = analytic(setting, lambda tensors, cotangents: {"w": tensors["w"] * cotangents[0]})
    assert exact_counts(by_hand, "backward").saved_bytes is None


def test_of_a_compiled_function_only_the_saved_bytes(monkeypatch):
    """Its kernels are no operators, and what is not known is None."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    counts = exact_counts(compiled(setting_for()), "forward")
    assert (counts.operators, counts.flops, counts.bytes_moved) == (None, None, None)
    assert counts.operator_calls is None
    assert (counts.saved_bytes, counts.saved_input_bytes) == (4 * N, 4 * N * D)
