"""What the gate speaks: the two sides, what is timed of them, what came of it, and the result as JSON.

Records are frozen values without tensors. `engine.time_sides` makes `Compared` rows; verification's changes and the
whole `GateResult` are made by the command. Nothing here runs, starts or decides anything.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from harness.bench.comparison import Decision, Judgement, Margin, PairSamples
from harness.errors import UsageError
from harness.records import Counts, Environment

GATE_VERSION = 1
"""Of the JSON document; a document of another version is refused."""

SideName = Literal["base", "head"]
Sizes = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two trees that are compared.

    `root` is the folder its processes run in and import user code from. `shown` is what people call it ("main~1
    (da1ba09)", "working tree"). `python` is the interpreter; the harness has to be installed there. `trust` is what may
    run, as `--trust` takes it: package names, and folders, which are relative to `root`.
    """

    name: SideName
    root: str
    shown: str = ""
    python: str = sys.executable
    trust: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A case that both sides have and that is to be timed; at which of its sizes is found out on the base.

    `path` is its case file relative to a side's root, with forward slashes: the same in both trees.
    """

    case: str
    path: str
    passes: tuple[str, ...]
    sizes: tuple[Sizes, ...]
    """Every size it may be timed at, as declared."""
    dtype: str
    device: str = "cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Untimed:
    """A case that is not timed, with the reason."""

    case: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One thing that is timed on both sides: a pass of a case at one size, in one dtype, on one device."""

    case: str
    path: str
    """Case file relative to the root of either side."""
    what: str
    """value · forward · backward · forward_backward"""
    sizes: Sizes = ()
    device: str = "cpu"
    dtype: str = "float32"
    elements: int | None = None
    """Elements of the inputs together."""

    @property
    def label(self) -> str:
        """Name it as a row shows it: "softmax forward n=1000 float32 cpu"."""
        sizes = " ".join(f"{name}={size}" for name, size in self.sizes)
        return " ".join(part for part in (self.case, self.what, sizes, self.dtype, self.device) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What came of timing one workload on both sides.

    `judgement` is the final word: after confirmation, and after the correction for the number of rows that were
    confirmed. Only a SLOWER here is an alarm. `screened` and `confirmed` are the raw samples, from which `screening`
    and `confirmation` can be computed again. A row that could not be measured is INCONCLUSIVE and its message says why.
    """

    workload: Workload
    judgement: Judgement
    message: str
    """One sentence for people: how much slower, how sure, or why nothing can be said."""
    screened: PairSamples | None = None
    """Samples of the first pair of processes; None where nothing could be measured."""
    screening: Judgement | None = None
    confirmed: tuple[PairSamples, ...] = ()
    """One per fresh pair of processes; empty where screening settled the row."""
    confirmation: Judgement | None = None
    """The judgement of `confirmed` by itself, before it was adjusted for the number of rows."""
    inner: int | None = None
    """Calls per sample, the same on both sides."""
    base_counts: Counts | None = None
    """Exact counts of one call; None where they could not be had."""
    head_counts: Counts | None = None
    base_code: tuple[str, ...] = ()
    """Files that the case's Python code was imported from on the base; empty for expressions."""
    head_code: tuple[str, ...] = ()

    @property
    def decision(self) -> Decision:
        """The final decision."""
        return self.judgement.decision


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationChange:
    """How the verdict on a case's gradient differs between the sides."""

    case: str
    direction: Literal["worse", "better", "other"]
    """Only "worse" fails the gate."""
    before: str
    after: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """How long a part of the gate took."""

    name: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """Everything the gate found."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(ser_json_inf_nan="strings")
    version: int = GATE_VERSION
    command: str
    started: str
    """ISO 8601, UTC."""
    base: Side
    head: Side
    margin: Margin
    threads: int
    seed: int
    environment: Environment
    compared: tuple[Compared, ...] = ()
    untimed: tuple[Untimed, ...] = ()
    changes: tuple[VerificationChange, ...] = ()
    verified: tuple[str, ...] = ()
    """Ids of the cases that were verified on both sides."""
    counts: Literal["report", "fail"] = "report"
    """Whether an exact count that rose fails the gate."""
    phases: tuple[Phase, ...] = field(default=())
    exit_code: int = 0

    def rows(self, decision: Decision) -> tuple[Compared, ...]:
        """List the compared workloads with a decision."""
        return tuple(row for row in self.compared if row.decision is decision)


_ADAPTER = TypeAdapter(GateResult)


def to_json(result: GateResult) -> str:
    """Return a result as one strict JSON document; infinities and NaN are strings."""
    return _ADAPTER.dump_json(result, indent=1).decode()


def from_json(text: str | bytes) -> GateResult:
    """Read a result back.

    Raises:
        UsageError: the text is no result of this version.
    """
    try:
        result = _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise UsageError(
            f"Cannot read a gate's result: {where}: {first['msg']}. Name a gate.json that this program wrote."
        ) from error
    if result.version != GATE_VERSION:
        raise UsageError(
            f"Cannot read a gate's result: version={result.version} (type int) is not {GATE_VERSION}, which this "
            "program writes. Use the version of the program that wrote it, or run the gate again."
        )
    return result
