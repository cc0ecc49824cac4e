"""The table that faulty optimizers are put into, and two ways of making them from correct ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Planted:
    """A faulty optimizer, the name of PyTorch's that it claims to be, and what is wrong with it."""

    make: type
    like: str
    what: str


TABLE: list[Planted] = []


def planted(like, what):
    """Put a class into the table."""

    def put(make):
        make.__qualname__ = make.__name__  # so that pickle finds it
        TABLE.append(Planted(make=make, like=like, what=what))
        return make

    return put


class Altered:
    """An optimizer that steps with other options than its groups hold."""

    def altered(self, group):
        """Return the options that a step is taken with instead."""
        raise NotImplementedError

    def step(self, closure=None):
        kept = [dict(group) for group in self.param_groups]
        for group in self.param_groups:
            group.update(self.altered(group))
        loss = super().step(closure)
        for group, before in zip(self.param_groups, kept, strict=True):
            group.update(before)
        return loss


class Spoiled:
    """An optimizer whose state is changed after each step."""

    def spoil(self, parameter, state):
        """Change the state of a parameter."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure=None):
        loss = super().step(closure)
        for parameter, state in self.state.items():
            if parameter.grad is not None:
                self.spoil(parameter, state)
        return loss
