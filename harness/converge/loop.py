"""How a training loop makes a step's gradient and learning rate: accumulation, clipping, mixed precision, schedules.

Everything is done by PyTorch's own tools, in the order their documentation gives; that it comes out right is
`harness.converge.loop_checks`' to see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from harness.case.schema import Clip, ConvergeModel, ScheduleModel
from harness.converge.optimizers import Stepper
from harness.errors import UsageError
from harness.optimizers.schedulers import scheduler_classes


@dataclass(slots=True, kw_only=True)
class Loop:
    """What a step does beside evaluating one loss."""

    accumulate: int = 1
    clip: Clip | None = None
    autocast: torch.dtype | None = None
    device_type: str = "cpu"
    scaler: torch.amp.GradScaler | None = None
    optimizer: Any = None
    """Whose gradients the scaler unscales."""
    schedule: Schedule | None = None
    loss: Tensor | None = None
    """The last step's loss, which some schedules go by."""
    unscaled: bool = False

    def backward(self, losses: Sequence[Callable[[], Tensor]], rows: Sequence[int]) -> Tensor:
        """Add the gradient of a mean over rows to every `.grad`, part by part, and return the loss (0-d, detached).

        Args:
            losses: each evaluates the mean loss of one mini-batch, with its history.
            rows: how many rows each mini-batch has.
        """
        if self.scaler is not None and self.unscaled:
            self.scaler.update()
            self.unscaled = False
        shares = [count / sum(rows) for count in rows]
        total: Tensor | None = None
        for evaluate, share in zip(losses, shares, strict=True):
            with self._precision():
                loss = self.weighted(evaluate(), share)
            (loss if self.scaler is None else self.scaler.scale(loss)).backward()
            total = loss.detach() if total is None else total + loss.detach()
        return cast("Tensor", total)

    def weighted(self, loss: Tensor, share: float) -> Tensor:
        """Return a mini-batch's mean loss times its share of the step's rows."""
        return loss if share == 1.0 else loss * share

    def finish(self, parameters: Iterable[Tensor], loss: Tensor) -> None:
        """Make every `.grad` what the optimizer is to see: unscaled first, clipped then."""
        self.loss = loss
        if self.scaler is not None and self.optimizer is not None:
            self.scaler.unscale_(self.optimizer)
            self.unscaled = True
        if self.clip is not None:
            self.clip_gradients(parameters)

    def clip_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Clip every `.grad`, in place."""
        clip = cast("Clip", self.clip)
        if clip.norm is not None:
            torch.nn.utils.clip_grad_norm_(parameters, clip.norm)
        elif clip.value is not None:
            torch.nn.utils.clip_grad_value_(parameters, clip.value)

    def _precision(self) -> AbstractContextManager[Any]:
        if self.autocast is None:
            return nullcontext()
        # The cache would hold casts of parameters from before they moved where graphs outlive it: it is not needed.
        return torch.autocast(self.device_type, dtype=self.autocast, cache_enabled=False)


class Schedule:
    """A scheduler that moves on after steps of its optimizer: after each, or after the last of each epoch."""

    def __init__(self, scheduler: Any, *, every: int, loop: Loop) -> None:
        self.scheduler, self.every, self.loop = scheduler, every, loop
        self.steps = 0

    def after_step(self) -> None:
        """Count a step the optimizer has taken, and move on where it is time."""
        self.steps += 1
        if self.steps % self.every == 0:
            self.move()

    def move(self) -> None:
        """Move on by one."""
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(cast("Tensor", self.loop.loss))
        else:
            self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Return where it is."""
        return {"scheduler": self.scheduler.state_dict(), "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another one was."""
        self.scheduler.load_state_dict(state["scheduler"])
        self.steps = state["steps"]


class Scaled:
    """Steps of an optimizer by a GradScaler, which leaves out those whose gradients overflowed."""

    def __init__(self, stepper: Any, loop: Loop) -> None:
        self.stepper, self.loop = stepper, loop
        self.param_groups = stepper.param_groups

    def step(self, closure: Callable[[], Tensor] | None = None) -> None:
        """Take a step from the gradients in `.grad`, after calling `closure` to set them, where one is given."""
        if closure is not None:
            closure()
        scaler = cast("torch.amp.GradScaler", self.loop.scaler)
        scaler.step(self.stepper)
        scaler.update()
        self.loop.unscaled = False

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's and the scaler's state."""
        scaler = cast("torch.amp.GradScaler", self.loop.scaler)
        return {"optimizer": self.stepper.state_dict(), "scaler": scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where another one was."""
        self.stepper.load_state_dict(state["optimizer"])
        cast("torch.amp.GradScaler", self.loop.scaler).load_state_dict(state["scaler"])


def make_loop(entry: ConvergeModel, *, device: torch.device) -> Loop | None:
    """Return how an entry's steps are made; None where a step is one loss and its gradient."""
    if entry.accumulate == 1 and entry.clip is None and entry.autocast is None and entry.schedule is None:
        return None
    return Loop(
        accumulate=entry.accumulate,
        clip=entry.clip,
        autocast=None if entry.autocast is None else getattr(torch, entry.autocast),
        device_type=device.type,
        scaler=torch.amp.GradScaler(device.type) if entry.autocast == "float16" else None,
    )


def equip(loop: Loop | None, stepper: Stepper, entry: ConvergeModel, *, epoch: int | None) -> Stepper:
    """Return an optimizer whose steps move the entry's schedule on and go by the loop's scaler, where it has them.

    Args:
        loop: how steps are made; None returns the optimizer as it is.
        stepper: the optimizer.
        entry: what declares the schedule.
        epoch: steps per epoch, where there are mini-batches.

    Raises:
        UsageError: there is no such scheduler, it refuses its options, or the optimizer is none of PyTorch's kind.
    """
    if loop is None:
        return stepper
    if entry.schedule is not None:
        schedule = make_schedule(entry.schedule, stepper, loop, epoch=epoch)
        cast("Optimizer", stepper).register_step_post_hook(lambda *_: schedule.after_step())
        loop.schedule = schedule
    if loop.scaler is None:
        return stepper
    loop.optimizer = stepper
    return Scaled(stepper, loop)


def make_schedule(model: ScheduleModel, stepper: object, loop: Loop, *, epoch: int | None) -> Schedule:
    """Make the scheduler that is declared, over an optimizer; nothing moves it on yet.

    Raises:
        UsageError: there is none of that name, it refuses its options, or the optimizer is none of PyTorch's kind.
    """
    if not isinstance(stepper, Optimizer):
        raise UsageError(
            f"Cannot schedule the learning rate of {type(stepper).__name__}: it is no torch.optim.Optimizer. "
            "Use one (SGD is plain gradient descent)."
        )
    classes = scheduler_classes()
    if model.name not in classes:
        raise UsageError(f"Cannot use schedule {model.name!r}: the schedules are {', '.join(classes)}. Choose one.")
    try:
        made = cast("Any", classes[model.name])(stepper, **model.options)
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"Cannot use schedule {model.name}: {error}. Change its options.") from error
    return Schedule(made, every=epoch if model.every == "epoch" and epoch is not None else 1, loop=loop)


def why_skipped(entry: ConvergeModel, device: str) -> str | None:
    """Say why an entry's loop cannot run on a device; None where it can."""
    if entry.autocast == "float16" and not device.startswith("cuda"):
        return "float16 with a GradScaler needs CUDA: run it with --device cuda"
    return None


def loop_words(entry: ConvergeModel) -> tuple[str, ...]:
    """Say what an entry's loop does beside evaluating one loss, as shown to people: ``clipped to norm 1``."""
    words = [f"{entry.accumulate} batches a step"] if entry.accumulate > 1 else []
    if entry.clip is not None:
        words.append(f"clipped to norm {entry.clip.norm:g}" if entry.clip.norm else f"clipped to ±{entry.clip.value:g}")
    if entry.schedule is not None:
        words.append(entry.schedule.name)
    if entry.autocast is not None:
        words.append(f"{entry.autocast} autocast")
    return tuple(words)
