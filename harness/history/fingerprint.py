"""What makes timings comparable: a machine's fingerprint, made from what a run says about where it happened.

A fingerprint is made of parts, so that two that differ can be told apart in words. It says nothing about load, clock
speed or temperature, and nothing about which physical machine it was: two of one model are alike here.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, fields

from harness.records import Environment
from harness.report.text import count

_ARCHITECTURE = re.compile(r"x86_64|amd64|arm64|aarch64|riscv64|ppc64le|s390x", re.IGNORECASE)
_MINOR = re.compile(r"(\D*\d+\.\d+)(?:\.\w+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run happened, as its environment says it in full."""

    cpu: str
    cpu_count: int
    memory_bytes: int | None
    platform: str
    cuda: str | None
    torch_threads: int
    python: str
    torch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What has to be alike before two timings may stand in one trend.

    Each field is a part as text. Versions are kept to their minor number: patch releases are expected to be as fast,
    and what they change is seen as a change point.
    """

    processor: str
    cores: str
    memory: str
    system: str
    gpu: str
    threads: str
    python: str
    torch: str

    @property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """Each part's name with its value."""
        return tuple((name, str(getattr(self, name))) for name in self.__slots__)

    @property
    def id(self) -> str:
        """Eight hexadecimal digits, the same wherever the parts are the same."""
        return hashlib.sha256(json.dumps(self.parts).encode(errors="replace")).hexdigest()[:8]

    @property
    def name(self) -> str:
        """The machine for people, with everything but the versions."""
        gpu = "" if self.gpu == "none" else f", {self.gpu}"
        cores, threads = count(int(self.cores), "core"), count(int(self.threads), "thread")
        return f"{self.processor}, {cores}, {self.memory}{gpu}, {self.system}, {threads}"


def place_of(environment: Environment) -> Place:
    """Return the place that a run's environment describes."""
    return Place(**{field.name: getattr(environment, field.name) for field in fields(Place)})


def machine_of(place: Place) -> Machine:
    """Return the fingerprint of the place a run happened at."""
    architecture = _ARCHITECTURE.search(place.platform)
    system = place.platform.partition("-")[0] or "unknown"
    return Machine(
        processor=" ".join(place.cpu.split()) or "unknown",
        cores=str(place.cpu_count),
        memory=memory_class(place.memory_bytes),
        system=f"{system} {architecture[0].lower()}" if architecture else system,
        gpu=place.cuda or "none",
        threads=str(place.torch_threads),
        python=minor(place.python),
        torch=minor(place.torch),
    )


def differences(one: Machine, other: Machine) -> tuple[tuple[str, str, str], ...]:
    """Return the parts in which two machines differ: name, the one's value, the other's."""
    pairs = zip(one.parts, other.parts, strict=True)
    return tuple((name, mine, yours) for (name, mine), (_, yours) in pairs if mine != yours)


def memory_class(memory_bytes: int | None) -> str:
    """Return memory as the nearest of 1, 1.5, 2, 3, 4, 6, 8, 12 … GiB.

    What a system reports is what firmware and kernel leave over, a few percent less than what is built in, and it
    changes with either; sizes on sale lie in the middle of these classes, not at their edges.
    """
    if not memory_bytes or memory_bytes < 0:
        return "unknown memory"
    octave = math.floor(math.log2(memory_bytes))
    sizes = [2.0**octave, 1.5 * 2.0**octave, 2.0 ** (octave + 1)]
    nearest = min(sizes, key=lambda size: abs(math.log(size / memory_bytes)))
    return f"{nearest / 2**30:g} GiB"


def minor(version: str) -> str:
    """Return a version without its patch number: ``2.13+cpu`` of ``2.13.0+cpu``."""
    release, mark, build = version.partition("+")
    found = _MINOR.match(release)
    return (found[1] if found else release) + mark + build
