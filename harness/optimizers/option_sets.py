"""The option sets that each optimizer of `torch.optim` is verified with.

The first set is the defaults, which also checks the documented default values; the last has as many options on as go
together, and is what the generic checks run with besides the defaults. Between them every documented option is at some
other value than its default, and `harness.optimizers.options` checks that it matters there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SETS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "SGD": (
        {},
        {"lr": 0.1},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.8, "dampening": 0.3},
        {"lr": 0.02, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "weight_decay": 0.1},
        {"lr": 0.1, "maximize": True},
        {"lr": 0.03, "momentum": 0.7, "nesterov": True, "weight_decay": 0.05, "maximize": True},
        {"lr": 0.03, "momentum": 0.8, "dampening": 0.2, "weight_decay": 0.05},
    ),
    "Adam": (
        {},
        {"lr": 2.0},
        {"lr": 0.02, "betas": (0.8, 0.95)},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "weight_decay": 0.02},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.9)},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.05, "amsgrad": True, "maximize": True},
    ),
    "AdamW": (
        {},
        {"lr": 0.02, "betas": (0.8, 0.95)},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "weight_decay": 0.2},
        {"lr": 0.01, "amsgrad": True, "betas": (0.9, 0.9)},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.3, "amsgrad": True, "maximize": True},
    ),
    "Adamax": (
        {},
        {"lr": 0.02, "betas": (0.8, 0.95)},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "weight_decay": 0.02},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.05, "maximize": True},
    ),
    "NAdam": (
        {},
        {"lr": 0.02, "betas": (0.8, 0.95)},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "momentum_decay": 0.1},
        {"lr": 0.01, "weight_decay": 0.02},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.05, "momentum_decay": 0.05, "maximize": True},
    ),
    "RAdam": (
        {},
        {"lr": 0.02, "betas": (0.8, 0.95)},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "weight_decay": 0.02},
        {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.05, "maximize": True},
    ),
    "RMSprop": (
        {},
        {"lr": 0.01, "alpha": 0.9},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "weight_decay": 0.02},
        {"lr": 0.005, "momentum": 0.8},
        {"lr": 0.005, "alpha": 0.95, "centered": True, "eps": 1e-3},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.005, "alpha": 0.95, "centered": True, "momentum": 0.7, "weight_decay": 0.02, "eps": 1e-2,
         "maximize": True},
    ),
    "Rprop": (
        {},
        {"lr": 0.05},
        {"etas": (0.4, 1.5)},
        {"step_sizes": (0.005, 0.03)},
        {"maximize": True},
        {"lr": 0.02, "etas": (0.6, 1.3), "step_sizes": (0.003, 0.1), "maximize": True},
    ),
    "Adagrad": (
        {},
        {"lr": 0.1},
        {"lr": 0.1, "lr_decay": 0.1},
        {"lr": 0.1, "initial_accumulator_value": 0.5},
        {"lr": 0.1, "eps": 1e-3},
        {"lr": 0.1, "weight_decay": 0.02},
        {"lr": 0.1, "maximize": True},
        {"lr": 0.1, "lr_decay": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-3, "weight_decay": 0.02,
         "maximize": True},
    ),
    "Adadelta": (
        {},
        {"lr": 0.5},
        {"rho": 0.7},
        {"eps": 1e-3},
        {"weight_decay": 0.05},
        {"maximize": True},
        {"lr": 0.7, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.05, "maximize": True},
    ),
    "ASGD": (
        {},
        {"lr": 0.05, "lambd": 0.1},
        {"lr": 0.05, "lambd": 0.2, "alpha": 0.5},
        {"lr": 0.05, "t0": 3.0},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "maximize": True},
        {"lr": 0.03, "lambd": 0.1, "alpha": 0.6, "t0": 2.0, "weight_decay": 0.05, "maximize": True},
    ),
    "Adafactor": (
        {},
        {"lr": 0.1},
        {"lr": 0.05, "beta2_decay": -0.5},
        {"lr": 0.05, "eps": (1e-3, 0.1)},
        {"lr": 0.05, "d": 1.5},
        {"lr": 0.05, "weight_decay": 0.1},
        {"lr": 0.05, "maximize": True},
        {"lr": 0.05, "beta2_decay": -0.6, "eps": (1e-2, 1e-2), "d": 1.2, "weight_decay": 0.1, "maximize": True},
    ),
    "Muon": (
        {},
        {"lr": 0.01, "ns_steps": 0},
        {"lr": 0.01, "ns_steps": 0, "weight_decay": 0.3},
        {"lr": 0.01, "ns_steps": 0, "momentum": 0.8},
        {"lr": 0.01, "ns_steps": 0, "nesterov": False},
        {"lr": 0.01, "ns_steps": 0, "eps": 1.0},
        {"lr": 0.01, "ns_steps": 0, "adjust_lr_fn": "match_rms_adamw"},
        {"lr": 0.01, "ns_steps": 2},
        {"lr": 0.01, "ns_steps": 2, "ns_coefficients": (2.0, -1.5, 0.5)},
        {"lr": 0.01, "momentum": 0.8, "nesterov": False, "weight_decay": 0.2, "ns_steps": 1, "eps": 9.0,
         "ns_coefficients": (1.5, -0.5, 0.0), "adjust_lr_fn": "match_rms_adamw"},
    ),
    "SparseAdam": (
        {},
        {"lr": 0.02, "betas": (0.8, 0.95)},
        {"lr": 0.01, "eps": 1e-3},
        {"lr": 0.01, "maximize": True},
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-3, "maximize": True},
    ),
    "LBFGS": (
        {},
        {"lr": 0.3},
        {"lr": 0.2, "max_iter": 1},
        {"lr": 0.2, "max_iter": 3, "history_size": 2},
        {"lr": 0.5, "max_iter": 8, "max_eval": 3},
        {"max_iter": 12, "tolerance_grad": 0.5},
        {"max_iter": 12, "tolerance_change": 0.2},
        {"max_iter": 6, "line_search_fn": "strong_wolfe"},
        {"lr": 0.2, "max_iter": 2, "history_size": 3},
    ),
}  # fmt: skip


COMMON: Mapping[str, Any] = {
    "weight_decay": 0.05, "momentum": 0.8, "amsgrad": True, "centered": True, "maximize": True,
}  # fmt: skip
"""Options that mean the same in every optimizer that has them, with values that turn them on."""


def sets_of(name: str) -> tuple[Mapping[str, Any], ...]:
    """Return the option sets of an optimizer; the defaults alone for one that is not in the table."""
    return SETS.get(name, ({},))


def sets_of_new(defaults: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return option sets for an optimizer that nobody has written any for.

    Args:
        defaults: its options with their defaults.

    Returns:
        The defaults; and, where it has options that are common and off by default, those turned on.
    """
    on = {name: value for name, value in COMMON.items() if name in defaults and not defaults[name]}
    return ({}, on) if on else ({},)
