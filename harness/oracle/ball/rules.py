"""The table of operators: ATen names and what computes them in balls. The modules beside this one fill it.

A rule is a function of a `Walk` and the operator's arguments by their schema names (`self` is called `a`). Arguments a
rule does not name must have their defaults, or be among those that do not change numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Rule = Callable[..., Any]
F = TypeVar("F", bound=Rule)

RULES: dict[str, Rule] = {}
"""By operator name, or name and overload: "mul", "index_reduce", "div.Tensor_mode"."""


def rule(*names: str) -> Callable[[F], F]:
    """Enter a function in the table under some names."""

    def enter(function: F) -> F:
        for name in names:
            RULES[name] = function
        return function

    return enter


def find_rule(name: str, overload: str) -> Rule | None:
    """The rule of an operator, the one for its overload first."""
    return RULES.get(f"{name}.{overload}") or RULES.get(name)
