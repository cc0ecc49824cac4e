"""Optimizers written another way than PyTorch's, all of whose parts can be replaced one by one: what faults go into."""

from __future__ import annotations

import math

import torch
from torch.optim import Optimizer


class Own(Optimizer):
    """The frame: groups, closures, maximize, skipping what has no gradient."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = self.call(closure)
        self.clock()
        for group in self.param_groups:
            self.walk(group)
        return loss

    def call(self, closure):
        if closure is None:
            return None
        with torch.enable_grad():
            return closure()

    def clock(self):
        """Nothing: each parameter counts its own steps."""

    def walk(self, group):
        for parameter in self.chosen(group):
            self.one(parameter, group)

    def chosen(self, group):
        return [parameter for parameter in group["params"] if parameter.grad is not None]

    def one(self, parameter, group):
        state = self.state[parameter]
        state["step"] = self.counted(state)
        self.apply(parameter, self.move(parameter, self.gradient(parameter, group), state, group))

    def counted(self, state):
        return state.get("step", 0) + 1

    def apply(self, parameter, move):
        parameter.sub_(move)

    def gradient(self, parameter, group):
        return -parameter.grad if self.maximizes(group) else parameter.grad.clone()

    def maximizes(self, group):
        return group["maximize"]

    def average(self, state, name, new, keep):
        """Return keep·old + (1 − keep)·new, kept in the state under a name."""
        old = state.get(name)
        state[name] = (1 - keep) * new if old is None else old + (1 - keep) * (new - old)
        return state[name]


class OwnSGD(Own):
    def __init__(
        self, params, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False, *, maximize=False
    ):
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
             "nesterov": nesterov, "maximize": maximize},
        )  # fmt: skip

    def move(self, parameter, gradient, state, group):
        gradient = self.decayed(gradient, parameter, group)
        if group["momentum"] == 0:
            return group["lr"] * gradient
        velocity = state["velocity"] = self.velocity(gradient, state, group)
        return group["lr"] * self.direction(gradient, velocity, state, group)

    def decayed(self, gradient, parameter, group):
        return parameter * group["weight_decay"] + gradient

    def velocity(self, gradient, state, group):
        if "velocity" not in state:
            return gradient.clone()
        return gradient * (1 - group["dampening"]) + state["velocity"] * group["momentum"]

    def direction(self, gradient, velocity, state, group):
        return velocity * group["momentum"] + gradient if group["nesterov"] else velocity


class OwnAdam(Own):
    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, *, foreach=None,
        maximize=False, decoupled_weight_decay=False,
    ):  # fmt: skip
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
             "foreach": foreach, "maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay},
        )  # fmt: skip

    def walk(self, group):
        if not group["foreach"]:
            return super().walk(group)
        moves = []
        for parameter in self.chosen(group):
            state = self.state[parameter]
            state["step"] = self.counted(state)
            moves.append(self.move(parameter, self.gradient(parameter, group), state, group))
        self.apply_all(self.chosen(group), moves, group)
        return None

    def apply_all(self, parameters, moves, group):
        if parameters:
            torch._foreach_sub_(parameters, moves)

    def move(self, parameter, gradient, state, group):
        gradient, shrink = self.decay(parameter, gradient, group)
        first, second = self.betas(group)
        mean = self.average(state, "mean", gradient, first)
        square = self.average(state, "square", self.squared(gradient), second)
        if group["amsgrad"]:
            square = state["largest"] = self.largest(state, square, second)
        t = state["step"]
        return shrink + self.rate(group) * self.corrected(mean, first, t) / self.root(square, second, t, group["eps"])

    def decay(self, parameter, gradient, group):
        rate = group["weight_decay"]
        if group["decoupled_weight_decay"]:
            return gradient, parameter * (group["lr"] * rate)
        return gradient + rate * parameter, 0.0

    def betas(self, group):
        return group["betas"]

    def rate(self, group):
        return group["lr"]

    def squared(self, gradient):
        return gradient * gradient

    def largest(self, state, square, second):
        return torch.maximum(state.get("largest", square), square)

    def corrected(self, mean, first, t):
        return mean / (1 - first**t)

    def root(self, square, second, t, eps):
        return torch.sqrt(square) / math.sqrt(1 - second**t) + eps


class OwnAdamW(OwnAdam):
    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, amsgrad=False, *, maximize=False
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


class OwnRMSprop(Own):
    def __init__(
        self, params, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False, *, maximize=False
    ):
        super().__init__(
            params,
            {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum,
             "centered": centered, "maximize": maximize},
        )  # fmt: skip

    def move(self, parameter, gradient, state, group):
        gradient = gradient + group["weight_decay"] * parameter
        square = self.average(state, "square", gradient**2, self.keep(group))
        if group["centered"]:
            square = self.centred(square, self.average(state, "mean", gradient, self.keep(group)))
        return group["lr"] * self.smoothed(gradient / self.root(square, group["eps"]), state, group)

    def keep(self, group):
        return group["alpha"]

    def centred(self, square, mean):
        return square - mean * mean

    def root(self, square, eps):
        return square.sqrt() + eps

    def smoothed(self, step, state, group):
        if not group["momentum"]:
            return step
        state["velocity"] = step + group["momentum"] * state.get("velocity", torch.zeros_like(step))
        return state["velocity"]


class OwnAdagrad(Own):
    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0.0,
        weight_decay=0.0,
        initial_accumulator_value=0.0,
        eps=1e-10,
        *,
        maximize=False,
    ):
        super().__init__(
            params,
            {"lr": lr, "lr_decay": lr_decay, "weight_decay": weight_decay,
             "initial_accumulator_value": initial_accumulator_value, "eps": eps, "maximize": maximize},
        )  # fmt: skip

    def move(self, parameter, gradient, state, group):
        gradient = gradient + group["weight_decay"] * parameter
        total = state.get("total", torch.full_like(parameter, self.initial(group)))
        state["total"] = total + gradient * gradient
        return group["lr"] / self.slowed(state["step"], group) * gradient / self.root(state["total"], group["eps"])

    def initial(self, group):
        return group["initial_accumulator_value"]

    def slowed(self, t, group):
        return 1 + (t - 1) * group["lr_decay"]

    def root(self, total, eps):
        return total.sqrt() + eps
