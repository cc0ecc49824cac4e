"""What is checked of a training loop beside where it arrives: each property that the entry declares, as a finding.

Loading in processes, accumulating, clipping, mixed precision, the schedule, resuming and moving a module are each held
against what they stand for: bit by bit where nothing may round differently, else within bars of rounding. Whether the
training is a good one is not asked. What differs only by chance on another device is seen on that device alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from harness.case.points import generator_for
from harness.case.schema import Batches, ConvergeModel, ScheduleModel
from harness.case.subject import Subject, Tensors
from harness.converge.checkpoint import Training, numbers_of, restore, store
from harness.converge.loop import Loop, equip, make_schedule
from harness.converge.moving import moving_findings
from harness.converge.optimizers import Chosen, Stepper, make_optimizer
from harness.converge.problem import Problem, make_problem
from harness.converge.training import Epochs, make_epochs
from harness.converge.walk import trained
from harness.optimizers.findings import Entry, Labels, Numbers, compared, equal, finding
from harness.oracle.rounding import UNIT_ROUNDOFF, rounding_bars
from harness.records import Finding, Outcome

LOADED = 2
"""Epochs whose batches are compared."""
ACCUMULATED = 3
"""Steps whose accumulated gradients are compared."""
CLIPPED = 10
"""Steps whose clipped gradients are compared."""
SCHEDULED = 300
"""Steps whose learning rates are compared, at most."""
RESUMED = 100
"""Steps of a resumed training, at most, but three epochs."""
EPSILON = 1e-6
"""What `clip_grad_norm_` adds to the norm it divides by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopUnderTest:
    """A convergence entry on a subject, from which trainings are made anew for every check."""

    subject: Subject
    entry: ConvergeModel
    sizes: Mapping[str, int]
    optimizer: Chosen
    seed: int
    device: str = "cpu"
    command: str | None = None

    @property
    def labels(self) -> Labels:
        """What every finding carries."""
        return Labels(seed=self.seed, command=self.command, device=self.device)

    def problem(self) -> Problem:
        """Make the problem, at its start, its rows loaded in this process."""
        batches = self.entry.batches and self.entry.batches.model_copy(update={"workers": 0})
        entry = self.entry.model_copy(update={"batches": batches})
        return make_problem(self.subject, entry, sizes=self.sizes, seed=self.seed, device=self.device)

    def stepper(self, problem: Problem) -> Stepper:
        """Make the optimizer over a problem's parameters, equipped with what the loop asks of it."""
        made = make_optimizer(self.optimizer, self.entry.options, problem.parameters.values())
        return equip(problem.loop, made, self.entry, epoch=problem.epoch)

    def training(self) -> Training:
        """Make a training, at its start."""
        problem = self.problem()
        return Training(problem=problem, stepper=self.stepper(problem))


def loop_findings(tested: LoopUnderTest) -> Iterator[Finding]:
    """Yield a finding per declared property of an entry's training loop."""
    entry = tested.entry
    if entry.batches is not None and entry.batches.workers:
        yield from workers_findings(tested, entry.batches)
    if entry.accumulate > 1:
        yield accumulation_finding(tested)
    if entry.clip is not None:
        yield clipping_finding(tested)
    if entry.autocast is not None:
        yield precision_finding(tested)
    if entry.schedule is not None:
        yield schedule_finding(tested, entry.schedule)
    if entry.resume:
        yield resume_finding(tested)
    if entry.moved:
        yield from moving_findings(tested.problem, tested.stepper, tested.labels, entry)


def workers_findings(tested: LoopUnderTest, batches: Batches) -> Iterator[Finding]:
    """Compare the batches of a loader with worker processes with those of one without, and with its own again."""
    problem = tested.problem()
    place = torch.device(tested.device)

    def epochs(workers: int) -> list[tuple[str, Numbers]]:
        made = make_epochs(
            tested.subject, problem.data, batches, seed=tested.seed, device=place, workers=workers
        )  # fmt: skip
        rows = [next(made) for _ in range(LOADED * len(made.loader))]
        return [pair for count, batch in enumerate(rows) for pair in numbers_of(batch, f"batch {count}")]

    first, again, alone = epochs(batches.workers), epochs(batches.workers), epochs(0)
    yield _same(tested.labels, "worker processes ~ none", first, alone, "a loader without workers")
    yield _same(tested.labels, "worker processes ~ again", again, first, "the first time")


def accumulation_finding(tested: LoopUnderTest) -> Finding:
    """Compare accumulated gradients with the gradient of all their rows at once, within rounding of both.

    Without mixed precision, whose rounding would hide much; that has a check of its own, on the accumulated gradient.
    """
    training = tested.training()
    problem = training.problem
    loop = replace(cast("Loop", problem.loop), autocast=None, scaler=None)
    stream = cast("Epochs", problem.stream)
    entries = []
    for step in range(min(ACCUMULATED, tested.entry.steps)):
        problem.advance()
        parts = problem.parts
        accumulated = _unclipped(problem, loop)
        problem.parts, problem.batch = (), stream.joined(parts)
        whole = _unclipped(problem, loop)
        rows = [stream.rows(part) for part in parts]
        shares = [count / sum(rows) for count in rows]
        bars = _bars(tested, problem, parts, shares) + _bars(tested, problem, (problem.batch,), [1.0])
        entries += _entries(problem, accumulated, whole, bars, step)
        problem.parts, problem.batch = parts, parts[0]
        problem.evaluate()
        trained(training, 1, advance=False)
    return compared(
        tested.labels, "accumulation ~ large batch", entries, oracle="the large batch",
        bar_origin="what rounding may do to both (Monte Carlo arithmetic)", dtype=tested.entry.dtype,
    )  # fmt: skip


def clipping_finding(tested: LoopUnderTest) -> Finding:
    """Compare the gradients an optimizer sees with the formula on those from before clipping."""
    training, clip = tested.training(), tested.entry.clip
    problem, loop = training.problem, cast("Loop", training.problem.loop)
    entries, clipped = [], False
    for step in range(min(CLIPPED, tested.entry.steps)):
        problem.advance()
        raw = _unclipped(problem, loop)
        problem.evaluate()
        seen = problem.flat_gradient().double().cpu()
        if clip is not None and clip.value is not None:
            # The bound as it is in the gradient's own dtype: nothing else is rounded.
            most = float(torch.tensor(clip.value, dtype=getattr(torch, tested.entry.dtype)))
            expected, bars = raw.clamp(-most, most), torch.zeros_like(raw)
        else:
            expected, bars = _by_norm(raw, float((clip and clip.norm) or 0.0), tested.entry.dtype)
        clipped = clipped or not torch.equal(expected, raw)
        entries += _entries(problem, seen, expected, bars, step)
        trained(training, 1, advance=False)
    check = "clipping ~ formula"
    if not clipped:
        words = f"no gradient of the first {min(CLIPPED, tested.entry.steps)} steps was large enough to be clipped"
        return finding(tested.labels, check, Outcome.VACUOUS, words, dtype=tested.entry.dtype)
    return compared(
        tested.labels, check, entries, oracle="the formula", dtype=tested.entry.dtype,
        bar_origin=f"rounding of a sum of squares, and the {EPSILON:g} that is added to the norm", independent=True,
    )  # fmt: skip


def precision_finding(tested: LoopUnderTest) -> Finding:
    """Compare a mixed-precision gradient, unscaled, with that of float64, within rounding at the lower precision."""
    problem = tested.training().problem
    loop = cast("Loop", problem.loop)
    problem.advance()
    mixed = _unclipped(problem, loop)
    plain = _unclipped(problem, replace(loop, autocast=None, scaler=None))
    parts = problem.parts or (problem.data if problem.batch is None else problem.batch,)
    joined = cast("Epochs", problem.stream).joined(parts) if problem.parts else parts[0]
    dtype = cast("str", tested.entry.autocast)
    check = f"{dtype} autocast ~ float64"
    if torch.equal(mixed, plain):
        return finding(tested.labels, check, Outcome.VACUOUS, "autocast changed no bit of the gradient", dtype=dtype)
    exact = problem.objective(joined).gradient(problem.flat().double().cpu())[1]
    bars = _bars(tested, problem, (joined,), [1.0], dtype)
    return compared(
        tested.labels, check, _entries(problem, mixed, exact, bars, 0), oracle="float64", dtype=dtype,
        bar_origin=f"what rounding to {dtype} may do (Monte Carlo arithmetic)",
    )  # fmt: skip


def schedule_finding(tested: LoopUnderTest, model: ScheduleModel) -> Finding:
    """Compare the learning rate at every step with that of the same schedule moved on by itself."""
    training = tested.training()
    epoch = training.problem.epoch
    steps, check = min(tested.entry.steps, SCHEDULED), "schedule ~ by itself"
    zeros = [torch.zeros_like(value) for value in training.problem.parameters.values()]
    lonely = make_optimizer(tested.optimizer, tested.entry.options, zeros)
    alone = Loop()
    schedule = make_schedule(model, lonely, alone, epoch=epoch)
    every = epoch if model.every == "epoch" and epoch is not None else 1
    seen, expected = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the lonely optimizer takes no steps, which its scheduler wonders at
        for step in range(steps):
            seen.append(_rates(training.stepper))
            expected.append(_rates(lonely))
            alone.loss = training.problem.advance()
            trained(training, 1, advance=False)
            if (step + 1) % every == 0:
                schedule.move()
    if all(rates == expected[0] for rates in expected):
        return finding(tested.labels, check, Outcome.VACUOUS, f"the rate is the same at all of {steps} steps")
    pairs = [(f"learning rate at step {step}", *_both(seen[step], expected[step])) for step in range(steps)]
    return equal(tested.labels, check, pairs, oracle="the schedule by itself")


def resume_finding(tested: LoopUnderTest) -> Finding:
    """Compare the end of a training that was stored half-way and resumed in fresh objects with the uninterrupted."""
    with torch.random.fork_rng(devices=_generators(tested.device)):
        whole = tested.training()
        epoch = whole.problem.epoch or 1
        steps = min(tested.entry.steps, max(RESUMED, 3 * epoch))
        half = steps // 2
        half += int(half % epoch == 0 and epoch > 1 and half + 1 < steps)
        trained(whole, half)
        stored = store(whole)
        trained(whole, steps - half)
        resumed = tested.training()
        restore(resumed, stored)
        trained(resumed, steps - half)
    actual, expected = (list(numbers_of(one.state_dict())) for one in (resumed, whole))
    check = f"resumed at step {half} of {steps} ~ uninterrupted"
    return _same(tested.labels, check, actual, expected, "the uninterrupted training")


def _same(
    labels: Labels, check: str, actual: list[tuple[str, Numbers]], expected: list[tuple[str, Numbers]], oracle: str
) -> Finding:
    """Compare named numbers bit by bit, names included."""
    there, wanted = dict(actual), dict(expected)
    odd = sorted(set(there) ^ set(wanted))
    if odd:
        where = "is missing" if odd[0] in wanted else "is too many"
        return finding(labels, check, Outcome.FAIL, f"{odd[0]} {where}, compared with {oracle}.")
    return equal(labels, check, [(name, there[name], value) for name, value in wanted.items()], oracle=oracle)


def _unclipped(problem: Problem, loop: Loop) -> Tensor:
    """Return the loop's gradient (n,) on the current step's data as it is before clipping, unscaled, in float64."""
    own = cast("Loop", problem.loop)
    problem.loop = replace(loop, clip=None)
    problem.evaluate()
    own.unscaled, problem.loop = own.unscaled or problem.loop.unscaled, own
    return problem.flat_gradient().double().cpu()


def _bars(
    tested: LoopUnderTest, problem: Problem, parts: tuple[Tensors, ...], shares: list[float], dtype: str | None = None
) -> Tensor:
    """Return what rounding may do (n,) to the weighted sum of the gradients of some batches."""
    objectives = [problem.objective(part) for part in parts]

    def compute(flat: Tensor) -> Tensor:
        gradients = [one.gradient(flat)[1] * share for one, share in zip(objectives, shares, strict=True)]
        return torch.stack(gradients).sum(0)

    kind = getattr(torch, dtype or tested.entry.dtype)
    generator = generator_for(tested.seed, tested.subject.name, "converge", "rounding")
    return rounding_bars(compute, problem.flat().double().cpu(), dtypes=(kind,), generator=generator)[kind]


def _by_norm(raw: Tensor, most: float, dtype: str) -> tuple[Tensor, Tensor]:
    """Return g·min(1, c/‖g‖) and what it may be off by: n + 8 roundings, and the ε PyTorch adds to the norm.

    (n roundings for a sum of n squares: N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 3.1.)
    """
    norm = float(torch.linalg.vector_norm(raw))
    expected = raw * min(1.0, most / norm) if norm > 0 else raw
    relative = (len(raw) + 8) * UNIT_ROUNDOFF[getattr(torch, dtype)]
    return expected, expected.abs() * (relative + (EPSILON / norm if norm > 0 else 0.0))


def _entries(problem: Problem, actual: Tensor, expected: Tensor, bars: Tensor, step: int) -> list[Entry]:
    """Return flat gradients (n,) as entries by parameter."""
    split: Callable[[Tensor], dict[str, Tensor]] = problem.objective().split
    parts = [split(one.double()) for one in (actual, expected, bars)]
    scale = float(expected.abs().max())
    return [
        Entry(
            name=f"gradient of {name}", actual=parts[0][name].numpy(), expected=parts[1][name].numpy(),
            bar=parts[2][name].numpy(), step=step, scale=scale,
        )
        for name in parts[0]
    ]  # fmt: skip


def _rates(stepper: object) -> list[float]:
    """Return the learning rate of every parameter group."""
    return [float(group["lr"]) for group in getattr(stepper, "param_groups", [])]


def _both(actual: list[float], expected: list[float]) -> tuple[Numbers, Numbers]:
    return torch.tensor(actual, dtype=torch.float64).numpy(), torch.tensor(expected, dtype=torch.float64).numpy()


def _generators(device: str) -> list[int]:
    return [torch.cuda.current_device()] if device.startswith("cuda") else []
