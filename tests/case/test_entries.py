"""`converge` entries of a case file: what is wrong with a key is told at the key, before anything runs."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("{start: {y: 1}}", "6:21: unknown input 'y'"),
        ("{start: {x: uniform(3)}}", "6:24: the draw 'uniform' takes no arguments or two"),
        ("{minimum: {y: 1}}", "6:23: unknown input 'y'"),
        ("{fresh: [y]}", "6:21: unknown input 'y'"),
        ("{dims: {n: 3}}", "6:20: unknown dim 'n'"),
        ("{batches: {size: 2}}", "6:22: unknown dim 'n'"),
        ("{gradient: analytic}", "6:23: the analytic gradient is asked for"),
        ("{published: {y: 1.5}}", "6:25: unknown input 'y'"),
        ("{fit: {x: x, y: x, prediction: q}}", "6:43: unknown name 'q'"),
        ("{accuracy: {scores: x, labels: q, at_least: 0.5}}", "6:43: unknown input 'q'"),
        ("{expect: misses}", "6:21: a descent that is expected to miss needs a `reason`"),
        ("{digits: 3}", "6:13: `digits` are those of a minimum"),
        ("{minimum: {x: 0}, digits: 3, within: 1}", "6:30: `digits` and `within` both say"),
        ("{accumulate: 2}", "6:25: gradients are accumulated over mini-batches"),
        ("{schedule: {name: StepLR, every: epoch}}", "6:23: `every: epoch` needs epochs"),
        ("{clip: {}}", "6:19: say either `norm` or `value`"),
        ("{clip: {norm: 1, value: 1}}", "6:19: say either `norm` or `value`"),
        ("{autocast: bfloat16}", "6:23: mixed precision needs float32 parameters"),
        ("{resume: true, fresh: [x]}", "6:21: fresh inputs have no loader"),
        ("{moved: true}", "6:20: only a module can be moved"),
    ],
)
def test_a_wrong_entry_is_one_message_at_its_place(faults, small, entry, fault):
    """One mistake in an entry gives exactly one fault, where it is, in plain words."""
    (found,) = faults(f"{small}converge: [{entry}]\n")
    assert found.startswith(fault)


def test_a_size_that_no_input_shows_cannot_be_changed(faults, small):
    """Sizes are read off tensors, so an entry can change only those in some input's shape."""
    (found,) = faults(f"{small}dims: {{k: {{fixed: 3}}}}\nconverge: [{{dims: {{k: 1}}}}]\n")
    assert found.startswith("7:20: no input's shape has the dim 'k'")


def test_mixed_precision_takes_no_analytic_gradient(faults, small):
    """Autocast and accumulation are autograd's, so the case's own gradient cannot be used with them."""
    entry = "{autocast: bfloat16, dtype: float32, gradient: analytic}"
    (found,) = faults(f"{small}converge: [{entry}]\ngradient: {{x: 2*x}}\n")
    assert found.startswith("6:59: gradient accumulation and mixed precision are autograd's")
