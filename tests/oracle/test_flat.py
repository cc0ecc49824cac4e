"""A subject as one function of one real vector: laying out, unfolding, batching, and what happens where it raises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from harness.case.subject import Input, Point, Subject, Tensors
from harness.oracle.flat import FlatSubject, blocks_of, random_signs, real_vector


def flat_of(function: Callable[..., Tensor], **values: Tensor) -> FlatSubject:
    """The flat view of a function of named tensors."""
    inputs = {
        name: Input(shape=tuple(v.shape), grad=v.is_floating_point() or v.is_complex(), complex=v.is_complex())
        for name, v in values.items()
    }

    def call(tensors: Tensors) -> tuple[Tensor, ...]:
        return (function(**tensors),)

    subject = Subject(name="f", inputs=inputs, function=call)
    return FlatSubject(subject, Point(name="p", values=values, sizes={}, seed=0))


def vector(*numbers: float) -> Tensor:
    """A float64 vector."""
    return torch.tensor(numbers, dtype=torch.float64)


def test_inputs_lie_end_to_end_in_order() -> None:
    """Differentiable inputs are laid out in declaration order; others are left out."""
    flat = flat_of(lambda a, k, b: a.sum() + b.sum() + k.sum(), a=vector(1, 2), k=torch.tensor([5]), b=vector(3))
    assert flat.x.tolist() == [1, 2, 3]


def test_a_complex_entry_is_two_real_ones() -> None:
    """Complex inputs appear as (real, imaginary) pairs."""
    flat = flat_of(lambda z: z, z=torch.tensor([1 + 2j, 3 - 4j], dtype=torch.complex128))
    assert flat.x.tolist() == [1, 2, 3, -4]


def test_unfolding_inverts_laying_out() -> None:
    """inputs(x) gives back the point."""
    z = torch.tensor([[1 + 2j], [3 - 4j]], dtype=torch.complex128)
    flat = flat_of(lambda z, w: z * w, z=z, w=vector(2))
    named = flat.inputs(flat.x)
    assert torch.equal(named["z"], z)
    assert torch.equal(named["w"], vector(2))


def test_an_index_names_the_entry_of_the_input() -> None:
    """A position inside a block is turned into the input's own index."""
    flat = flat_of(lambda w: w, w=torch.zeros(2, 3, dtype=torch.float64))
    assert [flat.blocks[0].index(p) for p in (0, 2, 3, 5)] == [(0, 0), (0, 2), (1, 0), (1, 2)]


def test_blocks_cover_the_vector() -> None:
    """Blocks follow one another without gaps."""
    flat = flat_of(lambda a, b: a.sum() * b, a=vector(1, 2, 3), b=vector(4, 5))
    assert [
        (b.start, b.stop) for b in blocks_of(flat.subject, Point(name="", values=flat.values, sizes={}, seed=0))
    ] == [
        (0, 3),
        (3, 5),
    ]


def test_integer_outputs_are_left_out() -> None:
    """Outputs without a derivative do not appear among the M numbers."""
    assert real_vector([vector(1, 2), torch.tensor([7])]).tolist() == [1, 2]


def test_vmap_is_used_where_it_agrees() -> None:
    """A plain torch function is evaluated in one batched call."""
    flat = flat_of(lambda x: x.sin().sum(), x=vector(1, 2))
    flat.batch(torch.stack([flat.x, flat.x + 1]))
    assert flat.batched is True


def test_a_loop_where_vmap_refuses() -> None:
    """A function that branches on its values is evaluated row by row."""
    flat = flat_of(lambda x: x.sum() if x.sum() > 0 else -x.sum(), x=vector(1, 2))
    values = flat.batch(torch.stack([flat.x, -flat.x]))
    assert (values.flatten().tolist(), flat.batched) == ([3, 3], False)


def test_a_loop_where_vmap_disagrees() -> None:
    """A function to which a batch looks different is not batched."""
    state = {"calls": 0}

    def counts(x: Tensor) -> Tensor:
        state["calls"] += 1
        return x * state["calls"]

    flat = flat_of(counts, x=vector(1, 2))
    flat.batch(torch.stack([flat.x, flat.x]))
    assert flat.batched is False


def test_rows_that_raise_are_nan() -> None:
    """Where a function raises it has no value; the other rows keep theirs."""

    def picky(x: Tensor) -> Tensor:
        if float(x[0]) > 1:
            raise ValueError("too large")
        return x * 2

    values = flat_of(picky, x=vector(0.5)).batch(torch.tensor([[0.5], [0.75], [2.0]], dtype=torch.float64))
    assert values[:2].flatten().tolist() == [1.0, 1.5]
    assert bool(values[2].isnan().all())


def test_a_function_that_always_raises_raises() -> None:
    """When no row has a value the subject's own exception comes out."""

    def broken(x: Tensor) -> Tensor:
        raise RuntimeError("no kernel")

    with pytest.raises(RuntimeError, match="no kernel"):
        flat_of(broken, x=vector(0.5)).batch(torch.tensor([[0.5], [0.75]], dtype=torch.float64))


def test_results_of_another_length_are_nan() -> None:
    """A mask that picks more entries at some rows leaves those without a value, instead of failing."""
    flat = flat_of(lambda x: x[x > 0] * 2, x=vector(1, -1))
    values = flat.batch(torch.tensor([[1.0, -1.0], [1.5, -1.0], [1.0, 1.0]], dtype=torch.float64))
    assert values[:2].flatten().tolist() == [2.0, 3.0]
    assert bool(values[2].isnan().all())


def test_no_rows_is_misuse() -> None:
    """An empty batch is refused."""
    with pytest.raises(ValueError, match="no rows"):
        flat_of(lambda x: x, x=vector(1)).batch(torch.zeros(0, 1, dtype=torch.float64))


def test_the_point_is_copied() -> None:
    """A subject that overwrites its inputs does not change the point."""
    x = vector(1, 2)
    flat = flat_of(lambda x: x.mul_(2), x=x)
    flat.call(flat.values)
    assert x.tolist() == [1, 2]


def test_moving_does_not_change_the_original() -> None:
    """at(x) is another view; the first keeps its point."""
    flat = flat_of(lambda x: x, x=vector(1, 2))
    moved = flat.at(vector(5, 6))
    assert (flat.x.tolist(), moved.values["x"].tolist()) == ([1, 2], [5, 6])


def test_signs_cannot_hide_a_coordinate() -> None:
    """Every entry of a direction has a size between 0.5 and 1.5 and lies on the lattice."""
    signs = random_signs((50, 20), torch.Generator().manual_seed(0))
    assert bool(((signs.abs() >= 0.5) & (signs.abs() <= 1.5)).all())
    assert torch.equal(signs * 2**10, (signs * 2**10).round())
