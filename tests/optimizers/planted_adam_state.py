"""Adams whose state, groups or options are wrong, with one fault each."""

from __future__ import annotations

import own
import torch
from planting import planted


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
