"""A table of optimizers with one fault each, made from the correct ones in `own`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import own
import torch

BLIND = "no check can see this"


@dataclass(frozen=True)
class Planted:
    """A faulty optimizer, the name of PyTorch's that it claims to be, and what is wrong with it."""

    make: type
    like: str
    what: str


TABLE: list[Planted] = []


def planted(like, what):
    """Put a class into the table."""

    def put(make):
        make.__qualname__ = make.__name__  # so that pickle finds it
        TABLE.append(Planted(make=make, like=like, what=what))
        return make

    return put


# --- Adam: the formula -----------------------------------------------------------------------------------------------


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


# --- Adam: precision -------------------------------------------------------------------------------------------------


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


# --- Adam: state and groups ------------------------------------------------------------------------------------------


@planted("Adam", "loading a state keeps the old one")
class StaleState(own.OwnAdam):
    def load_state_dict(self, state_dict):
        before = dict(self.state)
        super().load_state_dict(state_dict)
        self.state.update(before)


@planted("Adam", "loading a state loses the counter")
class LostCounter(own.OwnAdam):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state["step"] = 0


@planted("Adam", "loading a state keeps the old options")
class StaleOptions(own.OwnAdam):
    def load_state_dict(self, state_dict):
        rates = [group["lr"] for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = rate


@planted("Adam", "the state is kept beside `state`, and lost when it is stored")
class HiddenState(own.OwnAdam):
    def average(self, state, name, new, keep):
        hidden = self.__dict__.setdefault("hidden", {})
        return super().average(hidden.setdefault(id(state), {}), name, new, keep)


@planted("Adam", "taking a state_dict resets the counters")
class ResettingStateDict(own.OwnAdam):
    def state_dict(self):
        found = super().state_dict()
        for state in self.state.values():
            state["step"] = 1
        return found


@planted("Adam", "parameters of one shape share their mean")
class SharedMean(own.OwnAdam):
    def average(self, state, name, new, keep):
        shared = self.__dict__.setdefault("shared", {}).setdefault(new.shape, {})
        return super().average(shared if name == "mean" else state, name, new, keep)


@planted("Adam", "foreach leaves out the last entry")
class ShortForeach(own.OwnAdam):
    def apply_all(self, parameters, moves, group):
        for parameter, move in zip(parameters, moves, strict=True):
            parameter.reshape(-1)[:-1] -= move.reshape(-1)[:-1]


@planted("Adam", "foreach leaves out the last parameter")
class FewerForeach(own.OwnAdam):
    def apply_all(self, parameters, moves, group):
        super().apply_all(parameters[:-1], moves[:-1], group)


@planted("Adam", "foreach is computed in float32")
class CoarseForeach(own.OwnAdam):
    def apply_all(self, parameters, moves, group):
        super().apply_all(parameters, [move.float().to(move.dtype) for move in moves], group)


@planted("Adam", "maximize is ignored")
class NoMaximize(own.OwnAdam):
    def maximizes(self, group):
        return False


@planted("Adam", "the first group's maximize holds for all")
class FirstMaximize(own.OwnAdam):
    def maximizes(self, group):
        return self.param_groups[0]["maximize"]


@planted("Adam", "the first group's learning rate holds for all")
class FirstRate(own.OwnAdam):
    def rate(self, group):
        return self.param_groups[0]["lr"]


@planted("Adam", "groups added later are ignored")
class LateGroups(own.OwnAdam):
    def chosen(self, group):
        first = self.__dict__.setdefault("known", len(self.param_groups))
        return super().chosen(group) if any(group is one for one in self.param_groups[:first]) else []


@planted("Adam", "the learning rate of construction is kept")
class CachedRate(own.OwnAdam):
    def __init__(
        self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, *, maximize=False,
        decoupled_weight_decay=False,
    ):  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )  # fmt: skip
        self.cached = lr

    def rate(self, group):
        return self.cached


@planted("Adam", "a tensor learning rate is read once")
class CachedTensor(own.OwnAdam):
    def rate(self, group):
        if isinstance(group["lr"], torch.Tensor):
            return self.__dict__.setdefault("cached", float(group["lr"]))
        return group["lr"]


@planted("Adam", "the learning rate decays in the group")
class WritesRate(own.OwnAdam):
    def clock(self):
        for group in self.param_groups:
            group["lr"] *= 1 - 1e-9


# --- Adam: gradients and closures ------------------------------------------------------------------------------------


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


# --- Adam: tensors ---------------------------------------------------------------------------------------------------


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


# --- SGD -------------------------------------------------------------------------------------------------------------


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


# --- RMSprop and Adagrad ---------------------------------------------------------------------------------------------


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
