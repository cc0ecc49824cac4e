"""Options that several commands take, each said once."""

from __future__ import annotations

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DeviceName(StrEnum):
    """Values of --device."""

    CPU = "cpu"
    CUDA = "cuda"
    ALL = "all"


class SweepName(StrEnum):
    """Values of --sweep."""

    LR = "lr"


class EffortName(StrEnum):
    """Values of --effort."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


Paths = Annotated[
    list[str] | None, typer.Argument(help="Case files, and folders of them; the folder `cases` if none is given.")
]
Keyword = Annotated[
    str | None, typer.Option("-k", metavar="EXPR", help="Cases whose id or title matches, as pytest's -k.")
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="T", help="Cases with this tag; repeat it for several.")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Run directory. (default: reports/TIME-COMMAND)")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of every random draw.")]
Devices = Annotated[
    DeviceName, typer.Option(help="Where subjects run. Benchmarks on cpu also time CUDA where there is one.")
]
Strict = Annotated[
    bool | None, typer.Option("--strict/--no-strict", help="Fail on what is undecided. (default: on if CI is set)")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")]
Recorded = Annotated[
    str | None,
    typer.Option(
        "--history",
        metavar="URL",
        help="Record the run in this history, a folder or URL; off: nowhere. (default: run and bench only, where"
        " \\[tool.harness] says, else reports/history if there is no --out)",
    ),
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-j", min=1, metavar="N", help="Worker processes. (default: one per core)")
]
Trusted = Annotated[
    list[str] | None,
    typer.Option("--trust", metavar="X", help="Package or folder whose Python code may run; repeatable."),
]
Timeout = Annotated[
    float | None, typer.Option(min=0.1, metavar="S", help="Seconds a job may take. (default: 300; a benchmark 900)")
]
Memory = Annotated[float, typer.Option(min=0.01, metavar="GIB", help="Memory a job may take, in GiB.")]
Quick = Annotated[
    bool | None,
    typer.Option("--quick/--full", help="Length of the timing pass. (default: quick for run, full for bench)"),
]
Efforts = Annotated[
    EffortName | None, typer.Option(help="How hard verification looks. (default: standard; quick for bench)")
]


def command_line() -> str:
    """Return the command line as a person would type it."""
    return shlex.join(["harness", *sys.argv[1:]])


def in_ci() -> bool:
    """Whether the environment says that this is continuous integration."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")
