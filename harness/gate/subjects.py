"""One side's workloads, built in that side's timing process: surveyed, prepared, calibrated, sampled, counted.

Inputs, dtype and passes are the benchmark's own (`harness.bench`), so what the gate times is what `harness bench`
times. One workload is held at a time. How the process speaks is `worker`'s job; whether a side is slower is nobody's
here.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch

from harness.bench.clocks import Clock, clock_for
from harness.bench.counts import exact_counts
from harness.bench.device_times import unthrottled_s
from harness.bench.memory import element_count, free_bytes, shortage
from harness.bench.options import setting_at
from harness.bench.passes import GRADIENT_PASSES, PASSES, Setting
from harness.bench.run import drawer, options_of
from harness.bench.sampling import Work, block_s, calibrated
from harness.case.build import build_subject
from harness.case.case import Case
from harness.case.load import load_cases
from harness.case.schema import BenchmarkModel
from harness.case.subject import Subject, Tensors
from harness.case.trust import Trust
from harness.errors import UsageError
from harness.gate.origin import code_of, foreign_code
from harness.gate.protocol import Calibrated, Counted, Prepared, Sampled, Surveyed
from harness.gate.records import Candidate, Sizes, Workload
from harness.gate.waiting import Queue

SMALLEST_TOLERATED = 5.0
"""How many times the limit of a call the smallest size may take: better one slow row than none."""

LEAST_S = 1e-9
"""Least time of a block: the two clocks may disagree by more than a block of nearly nothing takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    case: Case
    subject: Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A setting and the values it was made from, kept while passes at the same size follow each other."""

    key: Workload
    setting: Setting
    digest: str
    clock: Clock


class Subjects:
    """The subjects of one tree."""

    def __init__(self, root: Path, other: Path, trust: Trust, seed: int, slowest_call_s: float) -> None:
        """Take the tree and the one it is compared with.

        Args:
            root: the tree that case files are found in.
            other: the other side's tree.
            trust: which Python code may run.
            seed: the seed of inputs and cotangents.
            slowest_call_s: sizes at which one call takes longer are not timed.
        """
        self._root, self._other, self._trust = root, other, trust
        self._seed, self._slowest_call_s = seed, slowest_call_s
        self._cases: dict[str, dict[str, Case]] = {}
        self._loaded: dict[tuple[str, str], _Loaded] = {}
        self._ready: _Ready | None = None
        self._work: Work | None = None
        self._what = ""
        self._queue = Queue()

    def survey(self, candidate: Candidate) -> Surveyed:
        """Find the sizes a candidate is timed at: its smallest, and its largest whose call is short enough.

        Sizes are tried from the smallest up, by the costliest pass, until one takes too long, or would need too much
        memory.
        """
        loaded, clock = self._load(candidate.path, candidate.case), clock_for(candidate.device)
        count = {sizes: element_count(loaded.subject.inputs, dict(sizes)) for sizes in candidate.sizes}
        fitting, reason = list[Sizes](), ""
        for sizes in sorted(candidate.sizes, key=lambda each: count[each]):
            what = _costliest(candidate.passes)
            one = Workload(
                case=candidate.case,
                path=candidate.path,
                what=what,
                sizes=sizes,
                device=candidate.device,
                dtype=candidate.dtype,
            )
            reason = shortage(count[sizes], _dtype(candidate.dtype).itemsize, free_bytes(clock.device)) or ""
            if not reason:
                took_s = self._call_s(one)
                reason = self._too_slow(took_s, first=not fitting)
            if reason:
                break
            fitting.append(sizes)
        chosen = tuple(dict.fromkeys((fitting[0], fitting[-1]))) if fitting else ()
        return Surveyed(sizes=chosen, elements=tuple(count[sizes] for sizes in chosen), reason="" if chosen else reason)

    def prepare(self, workload: Workload) -> Prepared:
        """Build a workload and call it once.

        Raises:
            UsageError: the tree has no such case, or the pass needs a gradient that there is none of.
        """
        self._work = None
        loaded = self._load(workload.path, workload.case)
        ready = self._setting(loaded, workload)
        if workload.what in GRADIENT_PASSES and not ready.setting.differentiable:
            raise UsageError(f"Cannot time {workload.what} of {workload.case}: no input has a gradient.")
        self._work = PASSES[workload.what](ready.setting)
        self._what = workload.what
        block_s(self._work, ready.clock, 1)
        code = code_of(loaded.case)
        return Prepared(inputs=ready.digest, code=code, foreign=foreign_code(code, self._root, self._other))

    def calibrate(self, sample_s: float) -> Calibrated:
        """Find how many calls of what is prepared make a sample."""
        work, clock = self._prepared()
        return Calibrated(calls=calibrated(work, clock, sample_s))

    def sample(self, calls: int, prefix: int, injected: float) -> Sampled:
        """Time a block of calls.

        Args:
            calls: how many.
            prefix: calls before them that are not timed.
            injected: share of the block's time that is added on purpose: as real calls, as far as it is a whole number
                of them, and by doing nothing for the rest.
        """
        work, clock = self._prepared()
        if prefix:
            block_s(work, clock, min(prefix, work.most_calls))
        extra = int(injected * calls)
        took_s = self._undisturbed_s(work, clock, calls + extra)
        rest = injected * calls - extra
        if rest > 0:
            took_s += _spin(clock, rest * took_s / (calls + extra))
        return Sampled(per_call_s=took_s / calls)

    def _undisturbed_s(self, work: Work, clock: Clock, calls: int) -> float:
        """Time a block without what this thread waited for its core meanwhile."""
        if clock.device.type != "cpu":
            return unthrottled_s(work, clock, calls)
        before_s = self._queue.waited_s()
        took_s = block_s(work, clock, calls)
        return max(took_s - (self._queue.waited_s() - before_s), LEAST_S)

    def count(self) -> Counted:
        """Count what one call of what is prepared does."""
        self._prepared()
        ready = cast("_Ready", self._ready)
        return Counted(counts=exact_counts(ready.setting, self._what))

    def _prepared(self) -> tuple[Work, Clock]:
        if self._work is None or self._ready is None:
            raise UsageError("Cannot time: nothing is prepared. Ask for a workload to be prepared first.")
        return self._work, self._ready.clock

    def _load(self, path: str, name: str) -> _Loaded:
        """Load a case of this tree and build its subject, once."""
        if (path, name) not in self._loaded:
            if path not in self._cases:
                self._cases[path] = {case.id: case for case in load_cases([self._root / path])}
            case = self._cases[path].get(name)
            if case is None:
                raise UsageError(f"Cannot time {name}: {path} of this tree has no such case.")
            self._loaded[(path, name)] = _Loaded(case=case, subject=build_subject(case, trust=self._trust))
        return self._loaded[(path, name)]

    def _setting(self, loaded: _Loaded, workload: Workload) -> _Ready:
        """Make the setting of a workload, or take the one at hand where only the pass differs."""
        key = replace(workload, what="", elements=None)
        if self._ready is None or self._ready.key != key:
            self._ready = None
            gc.collect()  # the collector rests in this process, so what other workloads left in cycles goes here
            clock = clock_for(workload.device)
            model = loaded.case.model.benchmark or BenchmarkModel()
            options = options_of(loaded.case, model, seed=self._seed, device=workload.device, quick=True)
            values = drawer(loaded.case, loaded.subject, self._seed)(dict(workload.sizes))
            setting = setting_at(loaded.subject, values, replace(options, dtype=_dtype(workload.dtype)), clock.device)
            self._ready = _Ready(key=key, setting=setting, digest=_digest(values), clock=clock)
        return self._ready

    def _call_s(self, workload: Workload) -> float:
        """Time one call of a workload, the shorter of two after a first one; only one where that is long already."""
        self.prepare(workload)
        work, clock = self._prepared()
        took_s = block_s(work, clock, 1)
        return took_s if took_s > SMALLEST_TOLERATED * self._slowest_call_s else min(took_s, block_s(work, clock, 1))

    def _too_slow(self, took_s: float, *, first: bool) -> str:
        limit_s = self._slowest_call_s * (SMALLEST_TOLERATED if first else 1.0)
        return f"one call takes {took_s:.2g} s even at the smallest size" if took_s > limit_s else ""


def _costliest(passes: Sequence[str]) -> str:
    """Name the pass that takes longest of those asked for."""
    order = ("forward_backward", "backward", "forward", "value")
    return next((name for name in order if name in passes), order[-1])


def _dtype(name: str) -> torch.dtype:
    return cast("torch.dtype", getattr(torch, name))


def _digest(values: Tensors) -> str:
    """Digest inputs, so that the two sides can tell whether they were given the same ones."""
    found = hashlib.blake2b(digest_size=16)
    for name, value in values.items():
        plain = torch.view_as_real(value) if value.is_complex() else value
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(plain.contiguous().numpy().tobytes())
    return found.hexdigest()


def _spin(clock: Clock, wanted_s: float) -> float:
    """Do nothing, busily, for a while; return how long it was."""
    start = now = clock.now_s()
    while now - start < wanted_s:
        now = clock.now_s()
    return now - start
