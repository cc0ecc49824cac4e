"""Named sizes: covering their declared values pairwise, and reading them off the shapes of tensors. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Protocol

from harness.case.subject import Input
from harness.errors import UsageError

Pair = tuple[tuple[str, int], tuple[str, int]]


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...  # torch.Size is a tuple of ints


def pairwise(dims: Mapping[str, int | Sequence[int]]) -> tuple[dict[str, int], ...]:
    """Combinations of sizes in which every pair of values of two dims occurs at least once.

    Greedy: each combination starts from the first pair not covered yet and gives every other dim the value that covers
    most new pairs. One or two dims give their full product; k dims of v values need about v² combinations, not vᵏ.

    Args:
        dims: the values of every named size.

    Returns:
        The combinations; a single empty one when there are no dims.

    Raises:
        UsageError: a dim has no value.
    """
    values = {name: _values(name, sizes) for name, sizes in dims.items()}
    if len(values) < 2:
        return tuple(dict(zip(values, choice, strict=True)) for choice in product(*values.values()))
    open_pairs = dict.fromkeys(_pairs(values))
    rows: list[dict[str, int]] = []
    while open_pairs:
        row = _row(values, open_pairs)
        for pair in combinations(row.items(), 2):
            open_pairs.pop(pair, None)
        rows.append(row)
    return tuple(rows)


def shape_for(spec: Input, sizes: Mapping[str, int]) -> tuple[int, ...]:
    """An input's shape with its named sizes filled in.

    Raises:
        UsageError: a name in the shape has no size.
    """
    missing = [size for size in spec.shape if isinstance(size, str) and size not in sizes]
    if missing:
        raise UsageError(
            f"Cannot make a tensor: shape={list(spec.shape)} names {missing[0]!r}, which has no size. Give it one."
        )
    return tuple(sizes[size] if isinstance(size, str) else size for size in spec.shape)


def bind_sizes(
    inputs: Mapping[str, Input], tensors: Mapping[str, _Shaped], *, known: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The named sizes that tensors have, checking every shape against its declaration.

    Args:
        inputs: the declared inputs.
        tensors: some or all of them, by name.
        known: sizes to start from; those that tensors tell take precedence.

    Raises:
        UsageError: a tensor's shape is not its input's, or two inputs disagree about a size.
    """
    bound: dict[str, int] = {}
    for name, spec in inputs.items():
        if name in tensors:
            _bind(name, spec, tuple(tensors[name].shape), bound)
    return {**(known or {}), **bound}


def _bind(name: str, spec: Input, actual: tuple[int, ...], bound: dict[str, int]) -> None:
    declared = spec.shape
    fits = len(actual) == len(declared)
    if fits:
        for size, found in zip(declared, actual, strict=True):
            fits = fits and found == (bound.setdefault(size, found) if isinstance(size, str) else size)
    if not fits:
        here = {size: bound[size] for size in declared if isinstance(size, str) and size in bound}
        known = f" with {', '.join(f'{size}={value}' for size, value in here.items())}" if here else ""
        raise UsageError(
            f"Cannot use the input {name!r}: shape={list(actual)} is not its declared shape {list(declared)}{known}. "
            "Give it a tensor of that shape, or change the declaration."
        )


def _values(name: str, sizes: int | Sequence[int]) -> tuple[int, ...]:
    values = (sizes,) if isinstance(sizes, int) else tuple(dict.fromkeys(sizes))
    if not values:
        raise UsageError(f"Cannot combine sizes: dims[{name!r}] is empty. Give it at least one size.")
    return values


def _pairs(values: Mapping[str, tuple[int, ...]]) -> Iterator[Pair]:
    for first, second in combinations(values, 2):
        for a, b in product(values[first], values[second]):
            yield (first, a), (second, b)


def _row(values: Mapping[str, tuple[int, ...]], open_pairs: Mapping[Pair, None]) -> dict[str, int]:
    """One combination that covers the first open pair and, greedily, many others; keys in the dims' order."""
    chosen = dict(next(iter(open_pairs)))
    for name, options in values.items():
        if name not in chosen:
            chosen[name] = max(options, key=lambda option: _gain(name, option, chosen, values, open_pairs))
    return {name: chosen[name] for name in values}


def _gain(
    name: str,
    option: int,
    chosen: Mapping[str, int],
    values: Mapping[str, tuple[int, ...]],
    open_pairs: Mapping[Pair, None],
) -> int:
    """How many open pairs a value covers together with the values chosen so far."""
    order = list(values)
    gain = 0
    for other, value in chosen.items():
        mine, theirs = (name, option), (other, value)
        gain += ((mine, theirs) if order.index(name) < order.index(other) else (theirs, mine)) in open_pairs
    return gain
