"""What the gate and its timing processes say to each other: one JSON line per request and per answer.

Requests and answers are frozen records; every request has exactly one answer, and `Failed` may stand for any of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from harness.gate.records import Candidate, Sizes, Workload
from harness.records import Counts

PROTOCOL = 1
"""Number that both sides have to agree on: their interpreters may hold different versions of this package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Ask at which sizes a candidate is timed. The answer is `Surveyed`."""

    kind: Literal["survey"] = "survey"
    candidate: Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepare:
    """Ask for a workload to be built and called once; whatever was prepared before is let go. `Prepared` answers."""

    kind: Literal["prepare"] = "prepare"
    workload: Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrate:
    """Ask how many calls make a sample. The answer is `Calibrated`."""

    kind: Literal["calibrate"] = "calibrate"
    sample_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Ask for one sample of so many calls, after an untimed `prefix` of some more. The answer is `Sampled`."""

    kind: Literal["sample"] = "sample"
    calls: int
    prefix: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CountCalls:
    """Ask for the exact numbers of one call of what is prepared. The answer is `Counted`."""

    kind: Literal["count"] = "count"


Request = Survey | Prepare | Calibrate | Sample | CountCalls


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A process says that it is ready, and which interpreter and libraries it runs."""

    kind: Literal["hello"] = "hello"
    protocol: int
    python: str
    torch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """The sizes a candidate is timed at, with the elements of its inputs there; none, with the reason."""

    kind: Literal["surveyed"] = "surveyed"
    sizes: tuple[Sizes, ...] = ()
    elements: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A workload is ready."""

    kind: Literal["prepared"] = "prepared"
    inputs: str
    """Digest of the inputs' values: both sides have to work on the same ones."""
    code: tuple[str, ...] = ()
    """Files that the case's Python code was imported from."""
    foreign: tuple[str, ...] = ()
    """Those files, and files of modules that the tree has itself, that lie outside the tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """So many calls make a sample."""

    kind: Literal["calibrated"] = "calibrated"
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """The time of one sample, in seconds per call."""

    kind: Literal["sampled"] = "sampled"
    per_call_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The exact counts of one call."""

    kind: Literal["counted"] = "counted"
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request could not be met; the process goes on. `message` is the reason in one line."""

    kind: Literal["failed"] = "failed"
    message: str


Answer = Hello | Surveyed | Prepared | Calibrated | Sampled | Counted | Failed

_REQUESTS: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
_ANSWERS: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="kind")])


def encode_request(request: Request) -> bytes:
    """Return a request as one line."""
    return _REQUESTS.dump_json(request) + b"\n"


def decode_request(line: bytes) -> Request:
    """Read a request.

    Raises:
        ValueError: the line is none.
    """
    return _REQUESTS.validate_json(line)


def encode_answer(answer: Answer) -> bytes:
    """Return an answer as one line."""
    return _ANSWERS.dump_json(answer) + b"\n"


def decode_answer(line: bytes) -> Answer:
    """Read an answer.

    Raises:
        ValueError: the line is none.
    """
    return _ANSWERS.validate_json(line)
