"""Parameters of unusual shape, layout and type: nothing may depend on it but what is documented to.

What an optimizer refuses with an error is skipped with its own words: refusing is not being wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch

from harness.optimizers.catalogue import optimizer_classes
from harness.optimizers.findings import Numbers, equal, finding, holds
from harness.optimizers.pieces import generic_pieces
from harness.optimizers.tolerance import reference
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Options, Piece, Walk
from harness.records import Finding, Outcome

STEPS = 5
Named = Mapping[str, Numbers]


def tensor_findings(tested: UnderTest, options: Options) -> Iterator[Finding]:
    """Yield that size, layout, dtype and complex numbers change nothing they should not."""
    for check, of in (
        ("zero-size parameter", _zero_size),
        ("0-d parameter", _scalar),
        ("strided parameter", _strided),
        ("complex parameter", _complex),
    ):
        try:
            found = of(tested, options, check)
        except (ValueError, RuntimeError, NotImplementedError, TypeError, ArithmeticError) as reason:
            words = " ".join(f"{type(reason).__name__}: {reason}".split())[:200]
            # An error of arithmetic is no refusal: nothing was checked before it happened.
            outcome = Outcome.FAIL if isinstance(reason, ArithmeticError) else Outcome.SKIPPED
            found = finding(tested.labels(options), check, outcome, f"It refuses: {words}")
        yield found
    yield _state_precision(tested, options)


def _zero_size(tested: UnderTest, options: Options, check: str) -> Finding:
    """A parameter without entries changes nothing about the others."""
    pieces = generic_pieces(tested.needs, tested.seed)
    shape = (0, 3) if tested.needs.matrices or tested.needs.sparse else (0,)
    present = None if not tested.needs.sparse else np.zeros((1, 0), dtype=bool)
    empty = Piece(name="empty", start=np.zeros(shape), tilts=np.zeros((1, *shape)), present=present)
    actual = tested.walk(options, [pieces[0], empty, *pieces[1:]]).advance(STEPS).everything()
    expected = tested.walk(options, pieces).advance(STEPS).everything()
    return _same(tested, options, check, actual, expected, "the optimizer without it")


def _scalar(tested: UnderTest, options: Options, check: str) -> Finding:
    """A number and a vector of one entry walk alike."""
    if tested.needs.matrices or tested.needs.sparse:
        return finding(tested.labels(options), check, Outcome.SKIPPED, "It wants matrices or sparse gradients.")
    noise = np.random.default_rng((tested.seed, 4))
    vector = Piece(name="p", start=noise.standard_normal(1), tilts=noise.standard_normal((STEPS, 1)))
    scalar = replace(vector, start=vector.start.reshape(()), tilts=vector.tilts.reshape(STEPS))
    expected = tested.walk(options, [vector]).advance(STEPS).everything()
    actual = tested.walk(options, [scalar]).advance(STEPS).everything()
    if actual["p"].shape != ():
        return finding(tested.labels(options), check, Outcome.FAIL, "A 0-d parameter has become a vector.")
    flat = {name: value.reshape(expected[name].shape) if name in expected else value for name, value in actual.items()}
    return _same(tested, options, check, flat, expected, "a vector of one entry")


def _strided(tested: UnderTest, options: Options, check: str) -> Finding:
    """Transposed views of memory walk as contiguous parameters do."""
    if tested.needs.sparse:
        return finding(tested.labels(options), check, Outcome.SKIPPED, "Sparse gradients have no strides.")
    pieces = generic_pieces(tested.needs, tested.seed)
    expected = reference(tested, options, pieces, lambda walk: _advance(walk))
    actual = tested.walk(options, pieces, strided=True).advance(STEPS).everything()
    labels = tested.labels(options)
    return expected.against(actual, labels, check, oracle="the contiguous parameters", dtype="float64")


def _complex(tested: UnderTest, options: Options, check: str) -> Finding:
    """Complex parameters walk as pairs of real ones, which is how PyTorch's elementwise optimizers document them."""
    labels = tested.labels(options)
    if tested.needs.matrices or tested.needs.sparse or tested.needs.closure:
        return finding(labels, check, Outcome.SKIPPED, "It wants matrices, sparse gradients or real parameters.")
    if tested.name == "Adafactor" or optimizer_classes().get(tested.name) is not tested.make:
        return finding(labels, check, Outcome.SKIPPED, "It does not promise to take complex parameters.")
    noise = np.random.default_rng((tested.seed, 5))
    start, tilts = noise.standard_normal((4, 2)), noise.standard_normal((STEPS, 4, 2))
    piece = Piece(name="p", start=start, tilts=tilts)
    expected = reference(tested, options, [piece], _advance)
    parameter = torch.view_as_complex(torch.tensor(start)).requires_grad_(True)
    optimizer = tested.make([parameter], **options)
    for tilt in tilts:
        parameter.grad = torch.view_as_complex(torch.tensor(tilt))
        optimizer.step()
    walk = tested.walk(options, [piece], parameters=[parameter], optimizer=optimizer)
    return expected.against(walk.everything(), labels, check, oracle="its real and imaginary parts", dtype="complex128")


def _state_precision(tested: UnderTest, options: Options) -> Finding:
    """State that stands for entries of a parameter is held at its precision at least, and steps are in place."""
    for dtype in (torch.float64, torch.float32):
        pieces = generic_pieces(tested.needs, tested.seed, dtype=dtype)
        walk = tested.walk(options, pieces)
        places = [parameter.data_ptr() for parameter in walk.parameters]
        walk.advance(2)
        fault = _coarse(walk, dtype) or _moved(walk, places, dtype)
        if fault is not None:
            return holds(tested.labels(options), "dtypes and memory", fault, "")
    return holds(tested.labels(options), "dtypes and memory", None, "Dtypes and memory are kept.")


def _coarse(walk: Walk, dtype: torch.dtype) -> str | None:
    """Name a state of several entries that is held in less precision than its parameter."""
    for state in walk.optimizer.state.values():
        if not isinstance(state, Mapping):
            continue
        for name, value in state.items():
            counts = isinstance(value, torch.Tensor) and value.ndim and value.is_floating_point()
            if counts and torch.finfo(value.dtype).eps > torch.finfo(dtype).eps:
                return f"The state {name!r} of a {dtype} parameter is held in {value.dtype}."
    return None


def _moved(walk: Walk, places: list[int], dtype: torch.dtype) -> str | None:
    """Say what of a parameter has changed besides its values."""
    for piece, parameter, place in zip(walk.pieces, walk.parameters, places, strict=True):
        if parameter.dtype != dtype:
            return f"The dtype of {piece.name} has become {parameter.dtype}."
        if parameter.data_ptr() != place:
            return f"The parameter {piece.name} was moved to other memory: whoever shares it sees the old values."
        if not parameter.requires_grad:
            return f"The parameter {piece.name} no longer requires a gradient."
    return None


def _advance(walk: Walk) -> None:
    walk.advance(STEPS)


def _same(
    tested: UnderTest,
    options: Options,
    check: str,
    actual: dict[str, Numbers],
    expected: dict[str, Numbers],
    oracle: str,
) -> Finding:
    pairs = [(name, actual.get(name, np.zeros(0)), value) for name, value in expected.items()]
    return equal(tested.labels(options), check, pairs, oracle=oracle)
