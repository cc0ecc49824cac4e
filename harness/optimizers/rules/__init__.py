"""Update rules: one file per family, each written from the published formulas, none from PyTorch's source.

A rule is a generator function. It takes a parameter, an iterable of its gradients, one per step, and the options that
its optimizer was given, by name; it yields the parameter after each step. Its own defaults are the documented ones, so
that a wrong default of an optimizer shows. Numbers it is given are `harness.optimizers.bounded.Bounded` arrays, so a
rule in plain NumPy brings its rounding bars along; it runs on ordinary arrays just as well.

`maximize` is no business of a rule: the harness hands it the negated gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.optimizers.rules.adadelta import adadelta
from harness.optimizers.rules.adafactor import adafactor
from harness.optimizers.rules.adagrad import adagrad
from harness.optimizers.rules.adam import adam, adamax, adamw, nadam, radam
from harness.optimizers.rules.asgd import asgd
from harness.optimizers.rules.muon import muon
from harness.optimizers.rules.rmsprop import rmsprop
from harness.optimizers.rules.rprop import rprop
from harness.optimizers.rules.sgd import sgd
from harness.optimizers.rules.sparse_adam import sparse_adam

Rule = Callable[..., Iterator[Any]]
"""rule(parameter, gradients, **options) → the parameter after each step."""

RULES: Mapping[str, Rule] = {
    "ASGD": asgd,
    "Adadelta": adadelta,
    "Adafactor": adafactor,
    "Adagrad": adagrad,
    "Adam": adam,
    "AdamW": adamw,
    "Adamax": adamax,
    "Muon": muon,
    "NAdam": nadam,
    "RAdam": radam,
    "RMSprop": rmsprop,
    "Rprop": rprop,
    "SGD": sgd,
    "SparseAdam": sparse_adam,
}
"""The rule of each optimizer of `torch.optim` whose steps depend on the gradients alone (LBFGS's do not: it calls the
loss as often as it likes, and is checked by `harness.optimizers.lbfgs`)."""
