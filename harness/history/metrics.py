"""What can be followed over time: which rows carry a figure, which of them make one series, and which way is worse."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from harness.errors import UsageError
from harness.report import text

_SUBJECT = ("case", "what", "sizes", "device", "variant", "dtype", "threads")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A figure that is followed.

    Args:
        name: as the command line takes it.
        title: for people.
        kind: the rows that carry it.
        column: where it stands in them.
        over: column it is divided by, where it is a share.
        key: rows that agree in these columns make a series.
        rises: whether a larger figure is worse.
        relative: whether changes are ratios; else they are differences.
        least: smallest change that matters: a ratio less one, or a difference.
        exact: whether equal code has equal figures, so that any difference is a change.
        interval: columns of the ends of its interval.
        show: a figure as text.
    """

    name: str
    title: str
    kind: str
    column: str
    over: str | None = None
    key: tuple[str, ...] = _SUBJECT
    rises: bool = True
    relative: bool = True
    least: float = 0.03
    exact: bool = False
    interval: tuple[str, str] | None = None
    show: Callable[[float | None], str] = text.seconds

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it needs, besides those of the run."""
        further = (*(self.interval or ()), *((self.over,) if self.over else ()))
        return ("kind", "outcome", "throttled", *self.key, self.column, *further)

    def least_figure(self) -> float:
        """Return `least` in the units changes are looked for in: of the logarithm where they are ratios."""
        return math.log1p(self.least) if self.relative else self.least

    def worse(self, before: float, after: float) -> bool:
        """Whether a change goes the wrong way."""
        return (after > before) is self.rises


def _whole(value: float | None) -> str:
    return text.MISSING if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return text.MISSING if value is None else f"{value:.0%}"


def _memory(value: float | None) -> str:
    return text.memory(None if value is None else round(value))


METRICS = {
    metric.name: metric
    for metric in (
        Metric(name="time", title="Time per call", kind="timing", column="median_s", interval=("low_s", "high_s")),
        Metric(name="first-call", title="Time of the first call", kind="timing", column="first_call_s", least=0.1),
        Metric(name="memory", title="Peak memory", kind="timing", column="peak_memory_bytes", show=_memory),
        Metric(name="operators", title="Operators", kind="timing", column="operators", exact=True, show=_whole),
        Metric(name="flops", title="Operations", kind="timing", column="flops", exact=True, show=_whole),
        Metric(name="saved", title="Saved bytes", kind="timing", column="saved_bytes", exact=True, show=_memory),
        Metric(
            name="digits",
            title="Digits of agreement",
            kind="accuracy",
            column="digits",
            key=("case", "dtype", "device"),
            rises=False,
            relative=False,
            least=0.5,
            show=text.digits,
        ),
        Metric(
            name="power",
            title="Detection power",
            kind="verification",
            column="faults_caught",
            over="faults",
            key=("case",),
            rises=False,
            relative=False,
            least=0.01,
            show=_share,
        ),
        Metric(
            name="steps",
            title="Steps to tolerance",
            kind="descent",
            column="steps_to_tolerance",
            key=("case", "variant", "device", "dtype", "descent_seed"),
            show=_whole,
        ),
    )
}


def metric_named(name: str) -> Metric:
    """Return a metric by its name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in METRICS:
        raise UsageError(
            f"Cannot show history: metric={name!r} is none of those that are kept. Name one of: {', '.join(METRICS)}."
        )
    return METRICS[name]


def figures_of(frame: pd.DataFrame, metric: Metric) -> pd.Series:
    """Return a metric's figure in each row of a history's frame; missing where there is none."""
    figures = frame[metric.column].astype("float64[pyarrow]")
    if metric.over is None:
        return figures
    return figures / frame[metric.over].where(frame[metric.over] > 0).astype("float64[pyarrow]")
