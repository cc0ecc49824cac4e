"""What every optimizer promises its caller, whatever it computes: closures, gradients, options, learning rates."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from harness.optimizers.findings import equal, finding, holds
from harness.optimizers.pieces import generic_pieces
from harness.optimizers.tolerance import reference
from harness.optimizers.under_test import UnderTest
from harness.optimizers.walk import Options, Walk
from harness.records import Finding, Outcome

STEPS = 5
INITIAL_RATE = frozenset({"Rprop"})
"""Optimizers whose documentation says that `lr` counts at the first step alone."""


def contract_findings(tested: UnderTest, options: Options) -> Iterator[Finding]:
    """Yield what must hold around a step."""
    yield _closure(tested, options)
    yield _side_effects(tested, options)
    yield _zero_grad(tested, options)
    yield _maximize(tested, options)
    yield from _rates(tested, options)
    yield from _cycled(tested, options)


def reuse_findings(tested: UnderTest) -> Iterator[Finding]:
    """Yield, for every option set, that the state holds no gradient of the caller's."""
    for options in tested.sets:
        yield _reused(tested, options)


def _closure(tested: UnderTest, options: Options) -> Finding:
    """A closure is called with gradients enabled, once unless more are wanted, and its loss is returned."""
    pieces = generic_pieces(tested.needs, tested.seed)
    walk = tested.walk(options, pieces)
    seen: list[bool] = []
    losses: list[float] = []

    def closure() -> torch.Tensor:
        seen.append(torch.is_grad_enabled())
        loss = walk._evaluate(frozenset())
        losses.append(float(loss))
        return loss

    returned = walk.optimizer.step(closure)
    fault = None
    if not seen:
        fault = "The closure was not called."
    elif not all(seen):
        fault = "The closure was called without gradients enabled."
    elif len(seen) > 1 and not tested.needs.closure:
        fault = f"The closure was called {len(seen)} times, not once."
    elif returned is None or float(returned) != losses[0]:
        fault = f"step(closure) returned {returned!r}, not the closure's first loss {losses[0]!r}."
    if fault is None and not tested.needs.closure:
        expected = tested.walk(options, pieces).advance(1).read()
        pairs = [(piece.name, mine, theirs) for piece, mine, theirs in zip(pieces, walk.read(), expected, strict=True)]
        return equal(tested.labels(options), "closure", pairs, oracle="a step without closure")
    return holds(tested.labels(options), "closure", fault, "The closure's loss is returned.")


def _side_effects(tested: UnderTest, options: Options) -> Finding:
    """A step leaves gradients, options and the random generator alone."""
    check, labels = "side effects", tested.labels(options)
    walk = tested.walk(options, generic_pieces(tested.needs, tested.seed))
    generator = torch.random.get_rng_state()
    groups = [_settings(group) for group in walk.optimizer.param_groups]
    for _ in range(2):
        if tested.needs.closure:
            walk.step()
            continue
        walk._evaluate(frozenset())
        before = [copy.deepcopy(one.grad) for one in walk.parameters]
        walk.optimizer.step()
        for piece, parameter, gradient in zip(walk.pieces, walk.parameters, before, strict=True):
            if parameter.grad is None or gradient is None or not _alike(parameter.grad, gradient):
                return holds(labels, check, f"The step changes the gradient of {piece.name}.", "")
        walk.count += 1
    if not torch.equal(generator, torch.random.get_rng_state()):
        return holds(labels, check, "The step draws from the global random generator.", "")
    for group, settings in zip(walk.optimizer.param_groups, groups, strict=True):
        changed = [name for name, value in settings.items() if repr(group.get(name)) != repr(value)]
        if changed:
            return holds(labels, check, f"The step changes the option {changed[0]} of its group.", "")
    return holds(labels, check, None, "Gradients, options and the random generator are left alone.")


def _reused(tested: UnderTest, options: Options) -> Finding:
    """Gradients may be overwritten after the step: nothing of the state is a gradient itself."""
    check = "gradients overwritten after a step"
    if tested.needs.sparse:
        return finding(tested.labels(options), check, Outcome.SKIPPED, "Sparse gradients are not overwritten in place.")
    pieces = generic_pieces(tested.needs, tested.seed)
    expected = tested.walk(options, pieces).advance(STEPS).everything()
    actual = tested.walk(options, pieces, reuse=True).advance(STEPS).everything()
    pairs = [(name, actual.get(name, np.zeros(0)), value) for name, value in expected.items()]
    return equal(tested.labels(options), check, pairs, oracle="new gradients at every step")


def _zero_grad(tested: UnderTest, options: Options) -> Finding:
    """`zero_grad` removes gradients, or sets them to zero, and does nothing else."""
    check, labels = "zero_grad", tested.labels(options)
    walk = tested.walk(options, generic_pieces(tested.needs, tested.seed)).advance(2)
    before = walk.everything()
    walk.optimizer.zero_grad(set_to_none=False)
    if any(one.grad is not None and bool(one.grad.to_dense().any()) for one in walk.parameters):
        return holds(labels, check, "zero_grad(set_to_none=False) leaves gradients that are not zero.", "")
    walk.optimizer.zero_grad()
    if any(one.grad is not None for one in walk.parameters):
        return holds(labels, check, "zero_grad() leaves a gradient.", "")
    after = walk.everything()
    pairs = [(name, after.get(name, np.zeros(0)), value) for name, value in before.items()]
    return equal(labels, check, pairs, oracle="what was before zero_grad")


def _maximize(tested: UnderTest, options: Options) -> Finding:
    """Maximizing is minimizing the negated loss, bit by bit."""
    check = "maximize is the negated loss"
    if not tested.has("maximize"):
        return finding(tested.labels(options), check, Outcome.SKIPPED, "It has no option maximize.")
    pieces = generic_pieces(tested.needs, tested.seed)
    actual = tested.walk({**options, "maximize": True}, pieces).advance(STEPS).everything()
    expected = tested.walk({**options, "maximize": False}, pieces, sign=-1.0).advance(STEPS).everything()
    pairs = [(name, actual.get(name, np.zeros(0)), value) for name, value in expected.items()]
    return equal(tested.labels(options), check, pairs, oracle="the negated loss")


def _rates(tested: UnderTest, options: Options) -> Iterator[Finding]:
    """A learning rate may be a tensor, and what a scheduler writes to its group counts."""
    rate = options.get("lr", tested.defaults.get("lr"))
    if not isinstance(rate, float | int):
        yield finding(tested.labels(options), "learning rate", Outcome.SKIPPED, "It has no numeric option lr.")
        return
    yield _tensor_rate(tested, {**options, "lr": float(rate)})
    if tested.name in INITIAL_RATE:
        message = "Its rate is the size of the first step alone, as documented."
        yield finding(tested.labels(options), "lr changed on the way", Outcome.SKIPPED, message)
        return
    yield _changed(tested, {**options, "lr": float(rate)}, "lr", float(rate) / 2)


def _cycled(tested: UnderTest, options: Options) -> Iterator[Finding]:
    """What OneCycleLR and CyclicLR write to a group besides its rate counts, too: momentum, or the first beta."""
    momentum = options.get("momentum", tested.defaults.get("momentum"))
    if isinstance(momentum, float) and momentum > 0:
        yield _changed(tested, options, "momentum", momentum / 2)
    betas = options.get("betas", tested.defaults.get("betas"))
    if isinstance(betas, tuple) and betas and isinstance(betas[0], float) and betas[0] > 0:
        yield _changed(tested, options, "betas", (betas[0] / 2, *betas[1:]))


def _tensor_rate(tested: UnderTest, options: Options) -> Finding:
    """A learning rate given as a tensor is the same as a number, also when the tensor changes on the way."""
    check, labels = "lr as a tensor", tested.labels(options)
    pieces = generic_pieces(tested.needs, tested.seed)
    rate = options["lr"]

    def with_number(walk: Walk) -> None:
        walk.advance(2)
        walk.optimizer.param_groups[0]["lr"] = rate / 2
        walk.advance(STEPS - 2)

    expected = reference(tested, options, pieces, with_number)
    tensor = torch.tensor(rate, dtype=torch.float64)
    try:
        walk = tested.walk({**options, "lr": tensor}, pieces).advance(2)
        held = walk.optimizer.param_groups[0]["lr"]
        if isinstance(held, torch.Tensor):
            held.mul_(0.5)
        else:
            walk.optimizer.param_groups[0]["lr"] = rate / 2
        walk.advance(STEPS - 2)
    except (ValueError, TypeError, RuntimeError) as reason:
        return finding(labels, check, Outcome.SKIPPED, f"It refuses: {type(reason).__name__}: {reason}")
    if not isinstance(held, torch.Tensor):
        pass  # it keeps a number, which is as good
    return expected.against(walk.everything(), labels, check, oracle="the same rate as a number", dtype="float64")


def _changed(tested: UnderTest, options: Options, name: str, value: Any) -> Finding:
    """A walk with an option changed in its group on the way differs from one where it stays."""
    pieces = generic_pieces(tested.needs, tested.seed)
    walk = tested.walk(options, pieces).advance(2)
    walk.optimizer.param_groups[0][name] = value
    changed = walk.advance(STEPS - 2).read()
    stayed = tested.walk(options, pieces).advance(STEPS).read()
    same = all(np.array_equal(one, other) for one, other in zip(changed, stayed, strict=True))
    fault = f"Changing {name} of a parameter group has no effect: schedulers would have none." if same else None
    return holds(tested.labels(options), f"{name} changed on the way", fault, f"A changed {name} has an effect.")


def _settings(group: dict[str, Any]) -> dict[str, Any]:
    return {name: copy.deepcopy(value) for name, value in group.items() if name != "params"}


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.equal(one.to_dense(), other.to_dense())
