"""NAdam, RAdam and ASGD written another way than PyTorch's, with parts that can be replaced."""

from __future__ import annotations

import math

import own
import torch


class OwnNAdam(own.Own):
    def __init__(
        self, params, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, momentum_decay=4e-3,
        decoupled_weight_decay=False, *, maximize=False,
    ):  # fmt: skip
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
             "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize},
        )  # fmt: skip

    def move(self, parameter, gradient, state, group):
        (first, second), t = group["betas"], state["step"]
        shrink = decayed(parameter, gradient, group)
        now, after = (first * (1 - 0.96 ** (at * group["momentum_decay"]) / 2) for at in (t, t + 1))
        product = state["product"] = state.get("product", 1.0) * now
        mean = self.average(state, "mean", gradient, first)
        square = self.average(state, "square", gradient * gradient, second) / (1 - second**t)
        return shrink + group["lr"] * self.ahead(mean, gradient, now, after, product) / self.root(square, group["eps"])

    def ahead(self, mean, gradient, now, after, product):
        return mean * (after / (1 - product * after)) + gradient * ((1 - now) / (1 - product))

    def root(self, square, eps):
        return square.sqrt() + eps


class OwnRAdam(own.Own):
    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled_weight_decay=False, *,
        maximize=False,
    ):  # fmt: skip
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay,
             "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize},
        )  # fmt: skip

    def move(self, parameter, gradient, state, group):
        (first, second), t = group["betas"], state["step"]
        shrink = decayed(parameter, gradient, group)
        mean = self.average(state, "mean", gradient, first) / (1 - first**t)
        square = self.average(state, "square", gradient * gradient, second)
        most = 2 / (1 - second) - 1
        length = most - 2 * t * second**t / (1 - second**t)
        if self.adapts(length):
            mean = mean * (self.rectified(length, most) * math.sqrt(1 - second**t)) / (square.sqrt() + group["eps"])
        return shrink + group["lr"] * mean

    def adapts(self, length):
        return length > 5

    def rectified(self, length, most):
        return math.sqrt((length - 4) / (most - 4) * (length - 2) / (most - 2) * most / length)


class OwnASGD(own.Own):
    def __init__(
        self, params, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6, weight_decay=0.0, *, maximize=False
    ):  # fmt: skip
        super().__init__(
            params,
            {"lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "maximize": maximize},
        )

    def one(self, parameter, group):
        super().one(parameter, group)
        state = self.state[parameter]
        since = max(1.0, state["step"] - 1 - group["t0"])
        mean = state.get("ax", torch.zeros_like(parameter))
        state["ax"] = mean + (parameter - mean) / since

    def move(self, parameter, gradient, state, group):
        rate = state.get("rate", group["lr"])
        state["rate"] = self.rate(state["step"], group)
        gradient = gradient + group["weight_decay"] * parameter
        return parameter - self.shrink(rate, group) * parameter + rate * gradient

    def rate(self, t, group):
        """Return the rate of the step after step t."""
        return group["lr"] / (1 + group["lambd"] * group["lr"] * t) ** group["alpha"]

    def shrink(self, rate, group):
        return 1 - group["lambd"] * rate


def decayed(parameter, gradient, group):
    """Add coupled decay to a gradient, in place; return what decoupled decay takes off."""
    if group["decoupled_weight_decay"]:
        return parameter * (group["lr"] * group["weight_decay"])
    gradient.add_(parameter, alpha=group["weight_decay"])
    return 0.0
