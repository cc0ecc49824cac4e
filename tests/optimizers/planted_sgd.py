"""SGDs, RMSprops and Adagrads with one fault each."""

from __future__ import annotations

import own
import torch
from planting import planted


@planted("SGD", "the velocity starts dampened")
class DampenedStart(own.OwnSGD):
    def velocity(self, gradient, state, group):
        old = state.get("velocity", torch.zeros_like(gradient))
        return gradient * (1 - group["dampening"]) + old * group["momentum"]


@planted("SGD", "dampening is ignored")
class NoDampening(own.OwnSGD):
    def velocity(self, gradient, state, group):
        return gradient + state.get("velocity", torch.zeros_like(gradient)) * group["momentum"]


@planted("SGD", "Nesterov's look-ahead is missing")
class NoNesterov(own.OwnSGD):
    def direction(self, gradient, velocity, state, group):
        return velocity


@planted("SGD", "Nesterov's look-ahead is missing at the first step")
class LateNesterov(own.OwnSGD):
    def direction(self, gradient, velocity, state, group):
        return velocity if state["step"] == 1 else super().direction(gradient, velocity, state, group)


@planted("SGD", "foreach leaves out Nesterov's look-ahead")
class ForeachWithoutNesterov(torch.optim.SGD):
    def step(self, closure=None):
        for group in self.param_groups:
            group["nesterov"], group["kept"] = group["nesterov"] and not group["foreach"], group["nesterov"]
        loss = super().step(closure)
        for group in self.param_groups:
            group["nesterov"] = group.pop("kept")
        return loss


@planted("SGD", "the velocity holds the learning rate")
class ScaledVelocity(own.OwnSGD):
    def move(self, parameter, gradient, state, group):
        gradient = self.decayed(gradient, parameter, group)
        if group["momentum"] == 0:
            return group["lr"] * gradient
        state["velocity"] = self.velocity(gradient * group["lr"], state, group)
        return self.direction(gradient * group["lr"], state["velocity"], state, group)


@planted("SGD", "decay is added after the momentum")
class DecayAfterMomentum(own.OwnSGD):
    def decayed(self, gradient, parameter, group):
        return gradient

    def apply(self, parameter, move):
        group = next(one for one in self.param_groups if any(parameter is other for other in one["params"]))
        parameter.sub_(move + group["lr"] * group["weight_decay"] * parameter)


@planted("SGD", "momentum and dampening swapped")
class SwappedMomentum(own.OwnSGD):
    def velocity(self, gradient, state, group):
        if "velocity" not in state:
            return gradient.clone()
        return gradient * (1 - group["momentum"]) + state["velocity"] * group["momentum"]


@planted("SGD", "the velocity is the gradient itself, which the caller overwrites")
class AliasedVelocity(own.OwnSGD):
    def gradient(self, parameter, group):
        return -parameter.grad if group["maximize"] else parameter.grad

    def decayed(self, gradient, parameter, group):
        return gradient + group["weight_decay"] * parameter if group["weight_decay"] else gradient

    def velocity(self, gradient, state, group):
        return gradient if "velocity" not in state else super().velocity(gradient, state, group)


@planted("RMSprop", "α and 1 − α swapped")
class SwappedAlpha(own.OwnRMSprop):
    def keep(self, group):
        return 1 - group["alpha"]


@planted("RMSprop", "centred does nothing")
class NotCentred(own.OwnRMSprop):
    def centred(self, square, mean):
        return square


@planted("RMSprop", "ε inside the root")
class RmsEpsInside(own.OwnRMSprop):
    def root(self, square, eps):
        return (square + eps).sqrt()


@planted("RMSprop", "momentum starts one step late")
class LateMomentum(own.OwnRMSprop):
    def smoothed(self, step, state, group):
        if group["momentum"] and "velocity" not in state:
            state["velocity"] = torch.zeros_like(step)
            return step
        return super().smoothed(step, state, group)


@planted("Adagrad", "the decay of the learning rate starts one step early")
class EarlyDecay(own.OwnAdagrad):
    def slowed(self, t, group):
        return 1 + t * group["lr_decay"]


@planted("Adagrad", "the accumulator starts at zero")
class ZeroStart(own.OwnAdagrad):
    def initial(self, group):
        return 0.0


@planted("Adagrad", "ε inside the root")
class AdagradEpsInside(own.OwnAdagrad):
    def root(self, total, eps):
        return (total + eps).sqrt()
