"""A sample of PyTorch's operator database as a `Subject` and a `Point`: what an operator is verified at.

Every tensor of a sample becomes an input, those that require a gradient as differentiable ones; everything else is
closed over. The operator is called as PyTorch's own gradient tests call it: through the entry's `gradcheck_wrapper`
(which, for instance, makes an input Hermitian) and the sample's `output_process_fn_grad` (which picks what is
well-defined of a result, such as the moduli of eigenvectors). In-place and out= variants are left aside.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from harness.case.domains import seed_for
from harness.case.operators import Operator, load_database
from harness.case.peculiar import CONSTANT
from harness.case.subject import Input, Point, Subject, Tensors

LOOKED_AT = 400
"""Most samples looked at: some operators come with hundreds that are empty before the first that is not."""
MOST_ENTRIES = 50_000
"""Entries of inputs and results together beyond which a sample is left aside: a sweep has other things to do."""
SAME = 1e-5
"""Relative difference of two calls above which an operator is random; parallel sums differ far less."""


SPARE = 4
"""Samples kept for each one wanted: more are verified where a gradient was zero at all of the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample as something that can be verified; `constant` names inputs held constant, with the reason."""

    subject: Subject
    point: Point
    constant: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The samples of one operator that can be verified, and how many cannot, by reason."""

    usable: tuple[Sample, ...]
    left_aside: tuple[tuple[str, int], ...]


class _UnusableError(Exception):
    """A sample cannot be verified; the message is the reason."""


def operator_samples(operator: Operator, *, seed: int, device: str = "cpu") -> Samples:
    """Draw an operator's samples and keep the first that can be verified, `SPARE` times as many as are wanted.

    Args:
        operator: which operator, how many samples, in which dtype.
        seed: the run's seed; the global random generators are seeded with it and left as they were.
        device: where samples are drawn, "cpu" or "cuda".
    """
    entry = load_database(operator.database)[operator.id]
    dtype = getattr(torch, operator.dtype)
    usable: list[Sample] = []
    reasons: Counter[str] = Counter()
    with _seeded(seed_for(seed, "operator", operator.id)):
        # What `entry.sample_inputs` calls, without its bookkeeping for PyTorch's test-suite and its own seed.
        drawn = entry.sample_inputs_func(entry, device, dtype, requires_grad=operator.differentiable)
        for number, sample in enumerate(itertools.islice(drawn, LOOKED_AT)):
            try:
                usable.append(_as_subject(operator, entry, sample, f"sample {number}", seed))
            except _UnusableError as reason:
                reasons[str(reason)] += 1
            if len(usable) == SPARE * operator.samples:
                break
    return Samples(usable=tuple(usable), left_aside=tuple(reasons.items()))


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed every global generator that samples are drawn from, and put all of them back afterwards."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  samples draw from the global one
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  as above
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)  # noqa: NPY002  as above


def _as_subject(operator: Operator, entry: Any, sample: Any, name: str, seed: int) -> Sample:
    """Turn one sample into a subject and a point.

    Raises:
        _UnusableError: there is nothing to verify in it.
    """
    paths, structure = pytree.tree_flatten_with_path((sample.input, tuple(sample.args), dict(sample.kwargs)))
    names, leaves = _names(paths), [leaf for _, leaf in paths]
    tensors = {name: leaf for name, leaf in zip(names, leaves, strict=True) if name is not None}
    if any(tensor.layout != torch.strided for tensor in tensors.values()):
        raise _UnusableError("an input is sparse")
    size = sum(tensor.numel() for tensor in tensors.values())
    if size > MOST_ENTRIES:
        raise _UnusableError(f"too large for a sweep (over {MOST_ENTRIES:,} entries)")
    moving = {key for key, tensor in tensors.items() if _moves(tensor, operator)}
    if not all(bool(tensors[key].isfinite().all()) for key in moving):
        raise _UnusableError("an input is not finite")
    constant = {key: CONSTANT[operator.id, key] for key in tensors if (operator.id, key) in CONSTANT}
    inputs = {
        key: Input(shape=tuple(tensor.shape), grad=key in moving and key not in constant, complex=tensor.is_complex())
        for key, tensor in tensors.items()
    }
    if not any(spec.grad and tensors[key].numel() for key, spec in inputs.items()):
        what = "requires a gradient" if operator.differentiable else "is a floating-point number"
        raise _UnusableError(f"no entry of an input {what}")
    call = _caller(entry, sample, names, leaves, structure, getattr(torch, operator.dtype))
    kept = _kept_outputs(call, tensors, operator)

    def function(given: Tensors) -> tuple[Tensor, ...]:
        outputs = call(given)
        return tuple(outputs) if kept is None else tuple(outputs[place] for place in kept)

    values = {key: _wide(tensor) for key, tensor in tensors.items()}
    return Sample(
        subject=Subject(name=operator.id, inputs=inputs, function=function),
        point=Point(name=name, values=values, sizes={}, seed=seed),
        constant=tuple(constant.items()),
    )


def _names(paths: Sequence[tuple[Any, object]]) -> list[str | None]:
    """Name every tensor of (input, args, kwargs); one that is there twice is one input, other leaves have no name."""
    names: list[str | None] = []
    known: dict[int, str] = {}
    for path, leaf in paths:
        names.append(known.setdefault(id(leaf), _name(path)) if isinstance(leaf, Tensor) else None)
    return names


def _name(path: Any) -> str:
    """Name a place: "input" and "arg1" by position, keywords by their own names, "input_0" inside a list."""
    group, *rest = (str(getattr(key, "idx", getattr(key, "key", ""))) for key in path)
    if group == "0":
        rest = ["input", *rest]
    elif group == "1":
        rest = [f"arg{int(rest[0]) + 1}", *rest[1:]]
    return "_".join(rest)


def _caller(
    entry: Any, sample: Any, names: Sequence[str | None], leaves: Sequence[object], structure: Any, dtype: torch.dtype
) -> Callable[[Tensors], list[Tensor]]:
    """Make the function from named inputs to all tensors the operator returns."""
    process = sample.output_process_fn_grad

    def call(given: Tensors) -> list[Tensor]:
        # A buffer the operator updates (a running mean) is copied, so that every call starts from the same one.
        fresh = {name: value if value.requires_grad else value.clone() for name, value in given.items()}
        now = next((value.dtype for value in given.values() if value.dtype.is_floating_point), dtype)
        filled = [
            (now if leaf is dtype else leaf) if name is None else fresh[name]
            for name, leaf in zip(names, leaves, strict=True)
        ]
        first, rest, keywords = pytree.tree_unflatten(filled, structure)
        result = process(entry.gradcheck_wrapper(entry.op, first, *rest, **keywords))
        return [_dense(leaf) for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]

    return call


def _moves(tensor: Tensor, operator: Operator) -> bool:
    """Whether a tensor is one that is differentiated; without autograd, whether it holds floating-point numbers."""
    return tensor.requires_grad if operator.differentiable else tensor.is_floating_point() or tensor.is_complex()


def _kept_outputs(
    call: Callable[[Tensors], list[Tensor]], tensors: Mapping[str, Tensor], operator: Operator
) -> tuple[int, ...] | None:
    """Places of the results that are verified; None when the operator raises, which is left to be reported.

    Raises:
        _UnusableError: there are none, they hold no finite numbers, or two calls give different ones.
    """
    try:
        outputs, again = call(tensors), call(tensors)
    except Exception:  # noqa: BLE001  the operator's own code may raise anything
        return None
    kept = tuple(
        place
        for place, output in enumerate(outputs)
        if (output.requires_grad or not operator.differentiable) and (output.is_floating_point() or output.is_complex())
    )
    if not kept:
        what = "differentiable" if operator.differentiable else "a floating-point number"
        raise _UnusableError(f"no result is {what}")
    if not any(outputs[place].numel() for place in kept):
        raise _UnusableError("the results are empty")
    if sum(outputs[place].numel() for place in kept) > MOST_ENTRIES:
        raise _UnusableError(f"too large for a sweep (over {MOST_ENTRIES:,} entries)")
    if not all(bool(outputs[place].isfinite().all()) for place in kept):
        raise _UnusableError("the results are not finite")
    if not all(_same(outputs[place].detach(), again[place].detach()) for place in kept):
        raise _UnusableError("random by design: two calls give different results")
    return kept


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    scale = float(one.abs().nan_to_num(0.0, 0.0, 0.0).max()) if one.numel() else 0.0
    return bool(torch.isclose(one, other, rtol=SAME, atol=SAME * scale, equal_nan=True).all())


def _dense(result: Tensor) -> Tensor:
    return result if result.layout == torch.strided else result.to_dense()


def _wide(tensor: Tensor) -> Tensor:
    """A tensor's values as a point holds them: on the CPU, float64 or complex128, integers as they are."""
    plain = tensor.detach().resolve_conj().resolve_neg().to("cpu")
    if plain.is_complex():
        return plain.to(torch.complex128).clone(memory_format=torch.contiguous_format)
    wide = plain.to(torch.float64) if plain.is_floating_point() else plain
    return wide.clone(memory_format=torch.contiguous_format)
