"""A start moved by a few roundings: what tells a count that hangs on rounding from one that does not.

Another CPU, another build of the BLAS or another number of threads changes sums by a rounding here and there. Moving
the start by as much stands for all of them, and can be done anywhere.
"""

from __future__ import annotations

import torch

from harness.case.points import generator_for
from harness.converge.problem import Problem

ROUNDINGS = 4.0
"""How far each parameter is moved, in relative roundings of its dtype; of a zero, in roundings of one."""


def nudge_start(problem: Problem, seed: int) -> None:
    """Move every parameter by a few roundings, up or down.

    Args:
        problem: at its start; its parameters are changed in place.
        seed: of the signs.
    """
    generator = generator_for(seed, problem.subject.name, "converge", "nudge")
    with torch.no_grad():
        for parameter in problem.parameters.values():
            signs = torch.randint(0, 2, parameter.shape, generator=generator).to(parameter) * 2 - 1
            size = torch.where(parameter == 0, torch.ones_like(parameter), parameter.abs())
            parameter += ROUNDINGS * torch.finfo(parameter.dtype).eps * size * signs
