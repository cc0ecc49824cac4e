"""The command `harness gate`: its options, messages and exit codes; all work is done elsewhere.

As everywhere on the command line, everything heavy is imported inside the command.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.options import AsJson, EffortName, Keyword, Memory, Out, Paths, Seed, Tags, Trusted, command_line
from harness.errors import UsageError
from harness.records import ExitCode

if TYPE_CHECKING:
    from harness.gate.gate import GateOptions
    from harness.gate.records import GateResult


class CountRule(StrEnum):
    """Values of --counts."""

    REPORT = "report"
    FAIL = "fail"


def gate(
    paths: Paths = None,
    *,
    base: Annotated[
        str | None, typer.Option(metavar="REF|DIR", help="A git ref to compare with, or a folder with another copy.")
    ] = None,
    margin: Annotated[str, typer.Option(metavar="P%", help="Smallest slow-down that counts.")] = "3%",
    keyword: Keyword = None,
    tag: Tags = None,
    out: Out = None,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(metavar="D", help="Where subjects run: cpu, cuda, cuda:1.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads torch computes with while timing.")] = 1,
    effort: Annotated[
        EffortName, typer.Option(help="How hard verification looks; above quick, detection power is compared too.")
    ] = EffortName.QUICK,
    counts: Annotated[
        CountRule, typer.Option(help="What an exact count that rose does: operators, FLOPs, bytes saved.")
    ] = CountRule.REPORT,
    every_case: Annotated[
        bool, typer.Option("--all-cases", help="Time the cases too that declare no benchmark.")
    ] = False,
    trust: Trusted = None,
    base_python: Annotated[
        str | None, typer.Option(metavar="FILE", help="Interpreter for the base, with this harness installed.")
    ] = None,
    prepare: Annotated[
        str | None, typer.Option(metavar="CMD", help="Shell command to run in the base's worktree first.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "-j", min=1, metavar="N", help="Workers of each side's verification.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="Seconds one verification may take.")
    ] = None,
    memory: Memory = 8.0,
    json: AsJson = False,
    self_test: Annotated[
        bool, typer.Option("--self-test", help="Measure how often the gate is wrong here: needs no base, takes long.")
    ] = False,
    comparisons: Annotated[
        int, typer.Option(min=1, metavar="N", help="Comparisons of a --self-test, for each slow-down.")
    ] = 200,
) -> None:
    """Did it get slower, or less right, than a base? Both are verified, and timed side by side."""
    from harness.bench.comparison import Margin
    from harness.gate.gate import GateOptions
    from harness.gate.options import TimingOptions
    from harness.run.run import default_directory

    if base is None and not self_test:
        raise UsageError(
            "Cannot compare: no base is named. Pass --base with a git ref or a folder: --base origin/main."
        )
    if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
        raise UsageError(f"Cannot compare: device={device!r} is none that can be timed. Write cpu, cuda or cuda:1.")
    timing = TimingOptions(
        margin=Margin(relative=parse_margin(margin)), threads=threads, seed=seed, device=device, all_cases=every_case,
        memory_gib=memory,
    )  # fmt: skip
    options = GateOptions(
        base=base or "", paths=tuple(paths or ["cases"]), keyword=keyword, tags=tuple(tag or ()),
        trust=tuple(trust or ()), base_python=base_python, prepare=prepare, effort=effort.value, jobs=jobs or 0,
        verify_limit_s=timeout, counts=counts.value, timing=timing, command=command_line(),
    )  # fmt: skip
    try:
        if self_test:
            code = _self_test(options, out or default_directory("selftest"), comparisons)
        else:
            code = _go(options, out or default_directory("gate"), as_json=json, latest=out is None)
    except KeyboardInterrupt:
        kept = "what repetitions were done, selftest.json has"
        gone = "nothing was compared, and the base's worktree is removed"
        sys.stderr.write(f"Interrupted: {kept if self_test else gone}.\n")
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)


def parse_margin(text: str) -> float:
    """Read a margin, as a share ("0.03") or in per cent ("3%").

    Raises:
        UsageError: it is no number, or not between 0 and 100 %.
    """
    number = text.strip().removesuffix("%")
    try:
        value = float(number) / (100.0 if number != text.strip() else 1.0)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1.0:
        raise UsageError(f"Cannot compare: margin={text!r} is no share above 0 and below 100 %. Write 3% or 0.03.")
    return value


def _self_test(options: GateOptions, directory: Path, comparisons: int) -> int:
    from harness.cli.selftest import run_self_test

    _make(directory)
    return run_self_test(
        options.paths, options.timing, directory, keyword=options.keyword, tags=options.tags, trust=options.trust,
        comparisons=comparisons,
    )  # fmt: skip


def _go(options: GateOptions, directory: Path, *, as_json: bool, latest: bool) -> int:
    """Run the gate, write its files, show the result, and return the exit code."""
    from harness.gate.gate import gate as compare
    from harness.gate.records import to_json
    from harness.run.run import point_latest
    from harness.terminal.gate import gate_progress, print_gate

    _make(directory)
    try:
        with gate_progress() as show:
            result = compare(options, on_progress=show)
    except BaseException:
        with suppress(OSError):
            directory.rmdir()  # only if it is empty
        raise
    write_files(result, directory, step_summary=True)
    if latest:
        point_latest(directory)
    if as_json:
        sys.stdout.write(to_json(result) + "\n")
    else:
        print_gate(result, directory)
    return result.exit_code


def write_files(result: GateResult, directory: Path, *, step_summary: bool = False) -> None:
    """Write a gate's files, and CI's summary if asked for, or say why that cannot be done."""
    from harness.report.write_gate import add_step_summary, write_gate

    try:
        write_gate(result, directory)
        if step_summary:
            add_step_summary(result)
    except OSError as error:
        raise _unwritable(directory, error) from error


def _make(directory: Path) -> None:
    """Make the run directory before minutes are spent."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(directory, error) from error


def _unwritable(directory: Path, error: OSError) -> UsageError:
    return UsageError(
        f"Cannot write results: out={str(directory)!r} cannot be used ({error.strerror or error}). "
        "Name another directory."
    )
