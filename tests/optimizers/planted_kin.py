"""NAdams, ASGDs, Adamaxes, Adadeltas and RAdams with one fault each: PyTorch's own altered, or `own_kin`'s."""

from __future__ import annotations

import own_kin
import torch
from planting import Altered, Spoiled, planted
from torch.optim import ASGD, Adadelta, Adamax, NAdam, RAdam

# --- NAdam -----------------------------------------------------------------------------------------------------------


@planted("NAdam", "the momentum schedule is left out")
class NAdamConstantMomentum(Altered, NAdam):
    def altered(self, group):
        return {"momentum_decay": 0.0}


@planted("NAdam", "the schedule's decay is half")
class NAdamSlowSchedule(Altered, NAdam):
    def altered(self, group):
        return {"momentum_decay": group["momentum_decay"] / 2}


@planted("NAdam", "betas swapped")
class NAdamSwapped(Altered, NAdam):
    def altered(self, group):
        return {"betas": group["betas"][::-1]}


@planted("NAdam", "decay coupled where it was to be decoupled")
class NAdamCoupled(Altered, NAdam):
    def altered(self, group):
        return {"decoupled_weight_decay": False}


@planted("NAdam", "the product of all μ is not kept")
class NAdamNoProduct(Spoiled, NAdam):
    def spoil(self, parameter, state):
        state["mu_product"].fill_(1.0)


@planted("NAdam", "the look-ahead is left out: Adam with a scheduled momentum")
class NAdamNoLookAhead(own_kin.OwnNAdam):
    def ahead(self, mean, gradient, now, after, product):
        return mean / (1 - product)


@planted("NAdam", "the look-ahead uses this step's momentum")
class NAdamLateLookAhead(own_kin.OwnNAdam):
    def ahead(self, mean, gradient, now, after, product):
        return super().ahead(mean, gradient, now, now, product)


@planted("NAdam", "ε inside the root")
class NAdamEpsInside(own_kin.OwnNAdam):
    def root(self, square, eps):
        return (square + eps).sqrt()


# --- ASGD ------------------------------------------------------------------------------------------------------------


@planted("ASGD", "λ is ignored")
class ASGDNoDecay(Altered, ASGD):
    def altered(self, group):
        return {"lambd": 0.0}


@planted("ASGD", "η falls with α = 1")
class ASGDWrongPower(Altered, ASGD):
    def altered(self, group):
        return {"alpha": 1.0}


@planted("ASGD", "averaging starts one step early")
class ASGDEarlyAverage(Altered, ASGD):
    def altered(self, group):
        return {"t0": group["t0"] - 1}


@planted("ASGD", "the average is the last iterate")
class ASGDNoAverage(Spoiled, ASGD):
    def spoil(self, parameter, state):
        state["ax"].copy_(parameter)


@planted("ASGD", "the average is off by one part in 10⁹")
class ASGDWrongAverage(Spoiled, ASGD):
    def spoil(self, parameter, state):
        state["ax"].mul_(1 + 1e-9)


@planted("ASGD", "η falls one step early")
class ASGDEarlyRate(own_kin.OwnASGD):
    def rate(self, t, group):
        return super().rate(t + 1, group)


@planted("ASGD", "the parameter shrinks by 1 − λ, not 1 − λη")
class ASGDUnscaledShrink(own_kin.OwnASGD):
    def shrink(self, rate, group):
        return 1 - group["lambd"] * group["lr"]


# --- Adamax, Adadelta, RAdam -----------------------------------------------------------------------------------------


@planted("Adamax", "betas swapped")
class AdamaxSwapped(Altered, Adamax):
    def altered(self, group):
        return {"betas": group["betas"][::-1]}


@planted("Adamax", "ε is left out")
class AdamaxNoEps(Altered, Adamax):
    def altered(self, group):
        return {"eps": 1e-30}


@planted("Adamax", "the norm does not decay")
class AdamaxStuckNorm(Spoiled, Adamax):
    def spoil(self, parameter, state):
        state["best"] = torch.maximum(state.get("best", state["exp_inf"]), state["exp_inf"])
        state["exp_inf"].copy_(state["best"])


@planted("Adadelta", "ρ and 1 − ρ swapped")
class AdadeltaSwapped(Altered, Adadelta):
    def altered(self, group):
        return {"rho": 1 - group["rho"]}


@planted("Adadelta", "the learning rate is ignored")
class AdadeltaNoRate(Altered, Adadelta):
    def altered(self, group):
        return {"lr": 1.0}


@planted("Adadelta", "the accumulated updates are not kept")
class AdadeltaNoUpdates(Spoiled, Adadelta):
    def spoil(self, parameter, state):
        state["acc_delta"].zero_()


@planted("RAdam", "never rectified")
class RAdamPlain(own_kin.OwnRAdam):
    def adapts(self, length):
        return False


@planted("RAdam", "rectified from ρ > 4, as the paper has it")
class RAdamEarly(own_kin.OwnRAdam):
    def adapts(self, length):
        return length > 4


@planted("RAdam", "the rectification forgets the root")
class RAdamNoRoot(own_kin.OwnRAdam):
    def rectified(self, length, most):
        return super().rectified(length, most) ** 2


@planted("RAdam", "decay coupled where it was to be decoupled")
class RAdamCoupled(Altered, RAdam):
    def altered(self, group):
        return {"decoupled_weight_decay": False}
