"""Adams that treat gradients, closures or unusual parameters wrongly, with one fault each."""

from __future__ import annotations

import own
import torch
from planting import planted


@planted("Adam", "a missing gradient counts as zero")
class NoneIsZero(own.OwnAdam):
    def chosen(self, group):
        for parameter in group["params"]:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        return group["params"]


@planted("AdamW", "parameters without a gradient decay")
class FrozenDecays(own.OwnAdamW):
    def walk(self, group):
        for parameter in group["params"]:
            if parameter.grad is None:
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
        super().walk(group)


@planted("Adam", "decay is added to the gradient in place")
class WritesGradient(own.OwnAdam):
    def decay(self, parameter, gradient, group):
        parameter.grad.add_(parameter, alpha=group["weight_decay"])
        return super().decay(parameter, gradient, group)


@planted("Adam", "zero_grad forgets the state")
class ForgetfulZeroGrad(own.OwnAdam):
    def zero_grad(self, set_to_none=True):
        super().zero_grad(set_to_none)
        self.state.clear()


@planted("Adam", "zero_grad leaves gradients")
class LazyZeroGrad(own.OwnAdam):
    def zero_grad(self, set_to_none=True):
        if not set_to_none:
            super().zero_grad(set_to_none)


@planted("Adam", "the closure is called twice")
class TwoCalls(own.OwnAdam):
    def call(self, closure):
        super().call(closure)
        return super().call(closure)


@planted("Adam", "the closure's loss is lost")
class LostLoss(own.OwnAdam):
    def call(self, closure):
        super().call(closure)


@planted("Adam", "the closure runs without gradients")
class NoGradClosure(own.OwnAdam):
    def call(self, closure):
        return None if closure is None else closure()


@planted("Adam", "the closure is called after the step")
class LateClosure(own.OwnAdam):
    def step(self, closure=None):
        super().step()
        return self.call(closure)


@planted("Adam", "noise from the global generator")
class Noisy(own.OwnAdam):
    def apply(self, parameter, move):
        torch.rand(1)
        parameter.sub_(move)


@planted("Adam", "the parameter is replaced, not changed in place")
class Replaced(own.OwnAdam):
    def apply(self, parameter, move):
        parameter.data = parameter - move


@planted("Adam", "strided parameters are changed in a copy")
class StridedCopy(own.OwnAdam):
    def apply(self, parameter, move):
        parameter.reshape(-1).sub_(move.reshape(-1))


@planted("Adam", "0-d parameters are left out")
class NoScalars(own.OwnAdam):
    def apply(self, parameter, move):
        if parameter.ndim:
            parameter.sub_(move)


@planted("Adam", "parameters after one without entries are left out")
class StopsAtEmpty(own.OwnAdam):
    def chosen(self, group):
        found = super().chosen(group)
        sizes = [parameter.numel() for parameter in found]
        return found[: sizes.index(0)] if 0 in sizes else found


@planted("Adam", "the last entry of each parameter is left out")
class ShortStep(own.OwnAdam):
    def apply(self, parameter, move):
        if move.numel():
            move.view(-1)[-1] = 0
        parameter.sub_(move)
