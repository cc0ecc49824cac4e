"""Rprops, Adafactors, Muons, SparseAdams and LBFGS with one fault each: PyTorch's own with a part altered."""

from __future__ import annotations

import torch
from planting import Altered, Spoiled, planted
from torch.optim import LBFGS, SGD, Adafactor, Adam, Muon, Rprop, SparseAdam

# --- Rprop, Adafactor, Muon, SparseAdam ------------------------------------------------------------------------------


@planted("Rprop", "it does not wait where the sign turns")
class RpropNoWait(Spoiled, Rprop):
    def spoil(self, parameter, state):
        state["prev"].copy_(parameter.grad)


@planted("Rprop", "step sizes are not limited")
class RpropUnlimited(Altered, Rprop):
    def altered(self, group):
        return {"step_sizes": (0.0, 1e9)}


@planted("Rprop", "steps grow by one per cent too little")
class RpropSlow(Altered, Rprop):
    def altered(self, group):
        return {"etas": (group["etas"][0], 0.99 * group["etas"][1])}


@planted("Adafactor", "updates are not clipped")
class AdafactorUnclipped(Altered, Adafactor):
    def altered(self, group):
        return {"d": 1e9}


@planted("Adafactor", "steps are not scaled by the parameter")
class AdafactorUnscaled(Altered, Adafactor):
    def altered(self, group):
        return {"eps": (group["eps"][0], 1.0)}


@planted("Adafactor", "β₂ is constant")
class AdafactorConstant(Altered, Adafactor):
    def altered(self, group):
        return {"beta2_decay": -0.5}


@planted("Muon", "one iteration of Newton and Schulz too few")
class MuonShort(Altered, Muon):
    def altered(self, group):
        return {"ns_steps": max(0, group["ns_steps"] - 1)}


@planted("Muon", "Nesterov's look-ahead is missing")
class MuonNoNesterov(Altered, Muon):
    def altered(self, group):
        return {"nesterov": False}


@planted("Muon", "the rate is not adjusted to the shape")
class MuonUnadjusted(Altered, Muon):
    def altered(self, group):
        return {"adjust_lr_fn": "original"}


@planted("SparseAdam", "betas swapped")
class SparseSwapped(Altered, SparseAdam):
    def altered(self, group):
        return {"betas": group["betas"][::-1]}


@planted("SparseAdam", "moments of absent rows decay")
class SparseDecays(Spoiled, SparseAdam):
    def spoil(self, parameter, state):
        absent = torch.ones(len(parameter), dtype=torch.bool)
        absent[parameter.grad.coalesce().indices()[0]] = False
        state["exp_avg"][absent] *= 0.9


@planted("SparseAdam", "the second moment forgets")
class SparseForgets(Spoiled, SparseAdam):
    def spoil(self, parameter, state):
        state["exp_avg_sq"].mul_(0.999)


# --- LBFGS -----------------------------------------------------------------------------------------------------------


@planted("LBFGS", "the history is one pair longer than asked for")
class LBFGSLongHistory(Altered, LBFGS):
    def altered(self, group):
        return {"history_size": group["history_size"] + 1}


@planted("LBFGS", "the history is forgotten: scaled steepest descent")
class LBFGSForgetful(Altered, LBFGS):
    def altered(self, group):
        return {"history_size": 1}


@planted("LBFGS", "no line search")
class LBFGSNoSearch(Altered, LBFGS):
    def altered(self, group):
        return {"line_search_fn": None}


@planted("LBFGS", "one iteration too many")
class LBFGSLong(Altered, LBFGS):
    def altered(self, group):
        return {"max_iter": group["max_iter"] + 1}


@planted("LBFGS", "the tolerance of the gradient is ignored")
class LBFGSNoTolerance(Altered, LBFGS):
    def altered(self, group):
        return {"tolerance_grad": 0.0}


# --- options changed on the way --------------------------------------------------------------------------------------


@planted("SGD", "the momentum of a group's first step is kept")
class CachedMomentum(Altered, SGD):
    def altered(self, group):
        return {"momentum": self.__dict__.setdefault("kept", {}).setdefault(id(group), group["momentum"])}


@planted("Adam", "the betas of a group's first step are kept")
class CachedBetas(Altered, Adam):
    def altered(self, group):
        return {"betas": self.__dict__.setdefault("kept", {}).setdefault(id(group), group["betas"])}
