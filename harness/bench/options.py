"""What is timed of a subject, where and how long; and the setting its passes are built from. Nothing is timed here."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.bench.passes import Setting, make_setting
from harness.bench.place import placed
from harness.bench.sampling import FULL, QUICK, Effort
from harness.bench.sizes import Sweep
from harness.case.subject import Subject, Tensors


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOptions:
    """What is timed of a subject, where and how long; the fields mirror the case file's `benchmark`."""

    sweeps: tuple[Sweep, ...]
    passes: tuple[str, ...] = ("value", "forward", "backward", "forward_backward")
    against: tuple[str, ...] = ()
    """Variants timed beside autograd: analytic, reference, compile, jacrev, jacfwd."""
    devices: tuple[str, ...] = ("cpu", "cuda")
    dtype: torch.dtype = torch.float32
    optimizer: str = "SGD"
    seed: int = 0
    quick: bool = False
    effort: Effort | None = None
    """How long to sample; None takes FULL, or QUICK in the quick pass."""

    @property
    def chosen_effort(self) -> Effort:
        """The effort to sample with."""
        return self.effort or (QUICK if self.quick else FULL)


def setting_at(subject: Subject, values: Tensors, options: BenchmarkOptions, device: torch.device) -> Setting:
    """Make the setting that passes of a subject are built from, by autograd.

    Args:
        subject: what is timed; it is evaluated once.
        values: its inputs as they were drawn.
        options: their dtype, the seed of the cotangents, and the optimizer.
        device: where they go.
    """
    inputs = placed(values, options.dtype, device)
    wanted = tuple(
        name for name in subject.differentiable if inputs[name].is_floating_point() or inputs[name].is_complex()
    )
    generator = torch.Generator().manual_seed(options.seed)
    return make_setting(subject.function, inputs, wanted, generator=generator, optimizer=options.optimizer)
