"""How hard the emulations are: what `torch.autograd.gradcheck` notices of them on the very same ordinary inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from emulations.registry import EMULATIONS
from torch import Tensor

from harness.case.domains import with_domain
from harness.case.points import draw_points
from harness.case.subject import Input

if TYPE_CHECKING:
    from emulations.emulation import Emulation

NOTICED = frozenset(
    {
        "constant-factor",
        "cotangent-first-row",
        "cotangent-ignored",
        "factor-missing-under-option",
        "head-zero",
        "input-overwritten",
        "inputs-swapped",
        "path-detached",
        "second-backward",
        "sign",
        "term-twice",
    }
)
"""Bugs that gradcheck notices with its defaults."""
LUCK = frozenset({"never-written", "race"})
"""Bugs that it may notice or not, by what is in memory and by chance."""
LONG = frozenset({"accumulation-in-storage"})
"""Bugs of low precision with too many inputs for a full Jacobian; in the float64 of gradcheck there is no bug."""


def drawn(entry: Emulation) -> tuple[Tensor, ...]:
    """Float64 inputs of an emulation, those with a gradient requiring one."""
    specs = {name: with_domain(value) for name, value in entry.inputs.items() if isinstance(value, Input)}
    values = {name: value for name, value in entry.inputs.items() if not isinstance(value, Input)}
    if specs:
        values |= draw_points(specs, entry.dims, name=entry.slug, seed=0, count=1)[0].values
    wants = {name: specs[name].grad if name in specs else values[name].is_floating_point() for name in entry.inputs}
    doubles = {n: values[n].double() if values[n].is_floating_point() else values[n] for n in entry.inputs}
    return tuple(value.clone().requires_grad_(wants[name]) for name, value in doubles.items())


@pytest.mark.parametrize("slug", sorted(set(EMULATIONS) - LUCK - LONG))
def test_what_gradcheck_notices(slug: str) -> None:
    """Most of the bugs do not show on ordinary inputs: gradcheck notices a quarter of them, and these only."""
    entry = EMULATIONS[slug]
    accepted = torch.autograd.gradcheck(entry.wrong, drawn(entry), raise_exception=False)
    assert accepted is (slug not in NOTICED)


@pytest.mark.parametrize("slug", sorted(set(EMULATIONS) - LONG))
def test_gradcheck_accepts_the_correct_twin(slug: str) -> None:
    """The correct twins are correct by another judge too."""
    entry = EMULATIONS[slug]
    assert torch.autograd.gradcheck(entry.right, drawn(entry))
