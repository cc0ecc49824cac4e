"""Adams whose formula or precision is wrong, with one fault each."""

from __future__ import annotations

import math

import own
import torch
from planting import planted


@planted("Adam", "the mean's bias is not corrected")
class NoMeanCorrection(own.OwnAdam):
    def corrected(self, mean, first, t):
        return mean


@planted("Adam", "the second moment's bias is not corrected")
class NoRootCorrection(own.OwnAdam):
    def root(self, square, second, t, eps):
        return torch.sqrt(square) + eps


@planted("Adam", "ε inside the root")
class EpsInside(own.OwnAdam):
    def root(self, square, second, t, eps):
        return torch.sqrt(square / (1 - second**t) + eps)


@planted("Adam", "ε is added before the bias is corrected")
class EpsEarly(own.OwnAdam):
    def root(self, square, second, t, eps):
        return (torch.sqrt(square) + eps) / math.sqrt(1 - second**t)


@planted("Adam", "the bias correction forgets the root")
class CorrectionWithoutRoot(own.OwnAdam):
    def root(self, square, second, t, eps):
        return torch.sqrt(square) / (1 - second**t) + eps


@planted("Adam", "bias correction ends after 20 steps")
class CorrectionEnds(own.OwnAdam):
    def corrected(self, mean, first, t):
        return mean / (1 - first**t) if t < 20 else mean


@planted("Adam", "wrong default β₂")
class WrongDefaultBeta(own.OwnAdam):
    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0, amsgrad=False, *, maximize=False
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


@planted("Adam", "wrong default ε")
class WrongDefaultEps(own.OwnAdam):
    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-7, weight_decay=0.0, amsgrad=False, *, maximize=False
    ):
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)


@planted("Adam", "betas swapped")
class SwappedBetas(own.OwnAdam):
    def betas(self, group):
        return group["betas"][::-1]


@planted("Adam", "the absolute gradient in place of its square")
class Absolute(own.OwnAdam):
    def squared(self, gradient):
        return gradient.abs()


@planted("Adam", "one step counter for all parameters")
class SharedCounter(own.OwnAdam):
    count = 0

    def counted(self, state):
        self.count += 1
        return self.count


@planted("Adam", "the step counter counts steps of the optimizer, not of the parameter")
class GlobalCounter(own.OwnAdam):
    count = 0

    def clock(self):
        self.count += 1

    def counted(self, state):
        return self.count


@planted("Adam", "the step counter starts at two")
class CounterOffByOne(own.OwnAdam):
    def counted(self, state):
        return state.get("step", 1) + 1


@planted("Adam", "amsgrad takes the maximum of the corrected moment")
class CorrectedMaximum(own.OwnAdam):
    def largest(self, state, square, second):
        factor = 1 - second ** state["step"]
        best = torch.maximum(state.get("best", square / factor), square / factor)
        state["best"] = best
        return best * factor


@planted("Adam", "amsgrad does nothing")
class NoMaximum(own.OwnAdam):
    def largest(self, state, square, second):
        return square


@planted("Adam", "decay decoupled instead of coupled")
class DecoupledDecay(own.OwnAdam):
    def decay(self, parameter, gradient, group):
        return gradient, parameter * (group["lr"] * group["weight_decay"])


@planted("AdamW", "decay coupled instead of decoupled")
class CoupledDecay(own.OwnAdamW):
    def decay(self, parameter, gradient, group):
        return gradient + group["weight_decay"] * parameter, 0.0


@planted("AdamW", "decay not scaled by the learning rate")
class UnscaledDecay(own.OwnAdamW):
    def decay(self, parameter, gradient, group):
        return gradient, parameter * group["weight_decay"] * 0.01


@planted("AdamW", "decay applied after the step")
class LateDecay(own.OwnAdamW):
    def one(self, parameter, group):
        decay, group["weight_decay"] = group["weight_decay"], 0.0
        super().one(parameter, group)
        group["weight_decay"] = decay
        parameter.mul_(1 - group["lr"] * decay)


@planted("AdamW", "no decay at the first step")
class NoFirstDecay(own.OwnAdamW):
    def decay(self, parameter, gradient, group):
        first = self.state[parameter]["step"] == 1
        return gradient, 0.0 if first else parameter * (group["lr"] * group["weight_decay"])


@planted("Adam", "state held in float32")
class CoarseState(own.OwnAdam):
    def average(self, state, name, new, keep):
        value = super().average(state, name, new, keep)
        state[name] = value.float()
        return value


@planted("Adam", "the step is computed in float32")
class CoarseStep(own.OwnAdam):
    def apply(self, parameter, move):
        parameter.sub_(move.float().to(parameter.dtype))


@planted("Adam", "bias correction in float32")
class CoarseCorrection(own.OwnAdam):
    def corrected(self, mean, first, t):
        return mean / (1 - float(torch.tensor(first, dtype=torch.float32)) ** t)


@planted("Adam", "steps are clipped at ten times the learning rate")
class Clipped(own.OwnAdam):
    def apply(self, parameter, move):
        parameter.sub_(move.clamp(-0.05, 0.05) if float(move.abs().max() if move.numel() else 0) > 0.05 else move)
