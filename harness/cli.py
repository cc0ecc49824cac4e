"""The command line: options, messages and exit codes; all work is done elsewhere.

torch, pydantic and pandas are imported inside the commands, so that `harness --help` answers at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli_gate import gate, write_files
from harness.errors import HarnessError, NothingToRunError, UsageError
from harness.records import ExitCode

if TYPE_CHECKING:
    from harness.history.fingerprint import Machine
    from harness.history.view import View
    from harness.records import Run
    from harness.run.changes import Change
    from harness.run.options import Kind, RunOptions
    from harness.run.sweep import Sweep

app = typer.Typer(
    epilog=(
        "Exit codes: 0 all passed · 1 something failed · 2 the command or a case file is wrong · 3 nothing failed, but"
        " something was inconclusive, vacuous or errored (1 with --strict) · 5 nothing ran · 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
        " [tool.harness] says, else reports/history if there is no --out)",
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


def _command(name: str, kinds: tuple[Kind, ...], summary: str) -> Callable[..., None]:
    """Add a command that runs case files; all of them take the same options."""

    def command(
        paths: Paths = None,
        *,
        keyword: Keyword = None,
        tag: Tags = None,
        out: Out = None,
        seed: Seed = 0,
        device: Devices = DeviceName.CPU,
        strict: Strict = None,
        json: AsJson = False,
        jobs: Jobs = None,
        trust: Trusted = None,
        timeout: Timeout = None,
        memory: Memory = 8.0,
        quick: Quick = None,
        effort: Efforts = None,
        history: Recorded = None,
    ) -> None:
        from harness.run.options import RunOptions
        from harness.run.run import default_directory

        options = RunOptions(
            kinds=kinds,
            keyword=keyword,
            tags=tuple(tag or ()),
            out=out or default_directory(name),
            seed=seed,
            device=device.value,
            strict=_in_ci() if strict is None else strict,
            jobs=jobs,
            trust=tuple(trust or ()),
            timeout_s=timeout,
            memory_gib=memory,
            quick=name == "run" if quick is None else quick,
            effort=effort.value if effort else ("quick" if name == "bench" else "standard"),
            command=shlex.join(["harness", *sys.argv[1:]]),
        )
        try:
            url = _history(history, name, has_out=out is not None)
            code = _go(paths or ["cases"], options, as_json=json, latest=out is None, history=url)
        except KeyboardInterrupt:  # before the first job, or while the report is written
            code = ExitCode.INTERRUPTED
        raise typer.Exit(code)

    app.command(name, help=summary)(command)
    return command


verify = _command("verify", ("verify",), "Is the gradient right? Check every case against independent oracles.")
power = _command("power", ("power",), "Would the checks notice? Inject every fault into every case, and count.")
bench = _command("bench", ("benchmark",), "How fast is it? Verify quickly, then time what passed.")
run_all = _command("run", ("verify", "converge", "benchmark"), "All three, with a short timing pass.")


@app.command()
def converge(
    paths: Paths = None,
    *,
    bless: Annotated[
        bool, typer.Option("--bless", help="Write the step counts into the baseline, and show what that changes.")
    ] = False,
    baseline: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Blessed step counts to compare with. (default: where [tool.harness] says, else"
            " reports/baselines/converge.json)",
        ),
    ] = None,
    sweep: Annotated[
        SweepName | None,
        typer.Option(metavar="lr", help="Instead: run every entry at each of many learning rates. Which work?"),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            metavar="LOW:HIGH:COUNT", help="Learning rates of a sweep, evenly spaced in their logarithm. (default: 36)"
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Seeds of a sweep, per rate. (default: the entry's)")
    ] = None,
    keyword: Keyword = None,
    tag: Tags = None,
    out: Out = None,
    seed: Seed = 0,
    device: Devices = DeviceName.CPU,
    strict: Strict = None,
    json: AsJson = False,
    jobs: Jobs = None,
    trust: Trusted = None,
    timeout: Timeout = None,
    memory: Memory = 8.0,
    history: Recorded = None,
) -> None:
    """Does descent arrive? Run every convergence entry, and compare its step counts with the blessed ones."""
    from harness.converge.grid import sweep_grid
    from harness.run.options import RunOptions
    from harness.run.run import default_directory

    options = RunOptions(
        kinds=("converge",) if sweep is None else ("sweep",),
        keyword=keyword,
        tags=tuple(tag or ()),
        out=out or default_directory("converge"),
        seed=seed,
        device=device.value,
        strict=_in_ci() if strict is None else strict,
        jobs=jobs,
        trust=tuple(trust or ()),
        timeout_s=timeout,
        memory_gib=memory,
        baseline=baseline,
        bless=bless,
        grid=sweep_grid(grid, seeds, sweeps=sweep is not None, bless=bless),
        seeds=seeds,
        command=shlex.join(["harness", *sys.argv[1:]]),
    )
    try:
        url = _history(history, "converge", has_out=out is not None)
        code = _go(paths or ["cases"], options, as_json=json, latest=out is None, history=url)
    except KeyboardInterrupt:  # as above
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)


@app.command(name="torch")
def torch_(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[OPERATOR]...", help="Exact names; all operators if none is given.")
    ] = None,
    *,
    keyword: Annotated[
        str | None, typer.Option("-k", metavar="EXPR", help="Operators whose name matches, as pytest's -k.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, metavar="N", help="Sample inputs to verify of each operator.")] = 3,
    dtype: Annotated[str, typer.Option(metavar="T", help="Dtype the samples are drawn in.")] = "float64",
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="results.jsonl of an earlier sweep: fail only on what is worse than there."),
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    device: Annotated[DeviceName, typer.Option(help="Where operators run.")] = DeviceName.CPU,
    strict: Strict = None,
    json: AsJson = False,
    jobs: Jobs = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="Seconds an operator may take. (default: 120)")
    ] = None,
    memory: Annotated[float, typer.Option(min=0.01, metavar="GIB", help="Memory an operator may take, in GiB.")] = 4.0,
    history: Recorded = None,
) -> None:
    """Sweep the installed PyTorch: verify every differentiable operator of its operator database."""
    from harness.run.options import RunOptions
    from harness.run.run import default_directory
    from harness.run.sweep import TIMEOUT_S, Sweep

    options = RunOptions(
        keyword=keyword,
        out=out or default_directory("torch"),
        seed=seed,
        device=device.value,
        strict=_in_ci() if strict is None else strict,
        jobs=jobs,
        timeout_s=timeout or TIMEOUT_S,
        memory_gib=memory,
        effort="quick",
        command=shlex.join(["harness", *sys.argv[1:]]),
    )
    wanted = Sweep(names=tuple(names or ()), dtype=dtype, samples=samples, baseline=baseline)
    try:
        url = _history(history, "torch", has_out=out is not None)
        code = _sweep(wanted, options, as_json=json, latest=out is None, history=url)
    except KeyboardInterrupt:  # as above
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)


app.command(name="gate")(gate)


@app.command()
def optimizers(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Classes of torch.optim and its lr_scheduler; all if left out."),
    ] = None,
    *,
    keyword: Annotated[
        str | None, typer.Option("-k", metavar="EXPR", help="Those whose name matches, as pytest's -k.")
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    device: Annotated[DeviceName, typer.Option(help="Where parameters live.")] = DeviceName.CPU,
    strict: Strict = None,
    json: AsJson = False,
    jobs: Jobs = None,
    timeout: Timeout = None,
    memory: Memory = 8.0,
    effort: Annotated[EffortName | None, typer.Option(help="thorough compiles steps, too. (default: standard)")] = None,
) -> None:
    """Verify the installed PyTorch's optimizers and schedulers against their published formulas."""
    from harness.run.optimizers import verify_optimizers
    from harness.run.options import RunOptions
    from harness.run.run import default_directory

    options = RunOptions(
        keyword=keyword,
        out=out or default_directory("optimizers"),
        seed=seed,
        device=device.value,
        strict=_in_ci() if strict is None else strict,
        jobs=jobs,
        timeout_s=timeout,
        memory_gib=memory,
        effort=effort.value if effort else "standard",
        command=shlex.join(["harness", *sys.argv[1:]]),
    )
    try:
        start = partial(verify_optimizers, tuple(names or ()), options)
        code = _finish(start, options, as_json=json, latest=out is None)
    except KeyboardInterrupt:  # as above
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)


@app.command()
def report(directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run directory.")]) -> None:
    """Rebuild the report of a run from its results.jsonl, or of a gate from its gate.json."""
    from harness.report.write_gate import read_gate
    from harness.run.journal import read_run
    from harness.terminal import print_run
    from harness.terminal_gate import print_gate

    folder = directory if directory.is_dir() else directory.parent
    gated = read_gate(directory)
    if gated is not None:
        write_files(gated, folder)
        print_gate(gated, folder)
        return
    run = read_run(directory)
    _write_report(run, folder)
    print_run(run, folder)


@app.command(name="history")
def history_(
    url: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]", help="Folder or URL of a history. (default: the project's, or reports/history)"
        ),
    ] = None,
    *,
    keyword: Annotated[
        str | None, typer.Option("-k", metavar="EXPR", help="Series whose name matches, as pytest's -k.")
    ] = None,
    metric: Annotated[
        str,
        typer.Option(
            metavar="M",
            help="time, first-call, memory, operators, flops, saved, digits, power or steps (to tolerance).",
        ),
    ] = "time",
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Runs from this day on; 30d: the last 30 days.")
    ] = None,
    machine: Annotated[
        str | None, typer.Option(metavar="ID", help="Another machine's trends. (default: this one's, else the newest)")
    ] = None,
    all_machines: Annotated[
        bool, typer.Option("--all-machines", help="Every machine's trends, each by itself.")
    ] = False,
    json: AsJson = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the trends as one HTML page.")] = None,
    add: Annotated[
        list[Path] | None, typer.Option(metavar="DIR", help="First record the run of this directory; repeatable.")
    ] = None,
) -> None:
    """Did anything change? Show trends and change points of recorded runs, for each kind of machine by itself."""
    from harness.history.document import history_json
    from harness.history.metrics import metric_named
    from harness.history.target import shown
    from harness.history.view import Question, since_when, view
    from harness.terminal_history import print_history

    question = Question(
        metric=metric_named(metric),
        keyword=keyword,
        since=None if since is None else since_when(since, datetime.now(UTC)),
        machine=machine,
        all_machines=all_machines,
    )
    where = shown(url, Path.cwd())
    _add(add or [], where)
    seen = view(where, question, _this_machine())
    for left in seen.left:
        sys.stderr.write(f"Left out {left.name}: {left.reason}\n")
    if html is not None:
        _write_page(seen, html)
    if json:
        sys.stdout.write(history_json(seen) + "\n")
    else:
        print_history(seen)


@app.command()
def schema() -> None:
    """Print the JSON Schema of case files."""
    from harness.case.jsonschema import schema_text

    sys.stdout.write(schema_text())


def _print_version(wanted: bool) -> None:  # noqa: FBT001  the form of an option's callback
    if wanted:
        from importlib.metadata import version

        typer.echo(f"harness {version('harness')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Is the gradient right, does descent on it arrive, how fast is it, and did any of that get worse?"""


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app(prog_name="harness")
    except NothingToRunError as error:
        _fail(error, ExitCode.NOTHING_RAN)
    except HarnessError as error:
        _fail(error, ExitCode.USAGE)


def _fail(error: HarnessError, code: int) -> None:
    """Say what is wrong, one line per fault, and end."""
    sys.stderr.write(f"{error}\n")
    sys.exit(code)


def _go(paths: list[str], options: RunOptions, *, as_json: bool, latest: bool, history: str | None) -> int:
    """Run, write the report, show the result, and return the exit code."""
    from harness.run.bless import bless_run
    from harness.run.blessed import baseline_path
    from harness.run.run import point_latest, run
    from harness.terminal import output_console, print_run, progress
    from harness.terminal_counts import print_counts
    from harness.terminal_power import print_power
    from harness.terminal_rates import print_sweeps

    blessed = None
    with progress() as shown:
        plan, record, running = shown.planned, shown.recorded, shown.running
        if options.bless:
            made, blessed = bless_run(paths, options, on_plan=plan, on_record=record, on_running=running)
        else:
            made = run(paths, options, on_plan=plan, on_record=record, on_running=running)
    directory = options.out
    if directory is not None:
        _write_report(made, directory)
        if latest:
            point_latest(directory)
    if as_json:
        _print_json(made, directory)
    else:
        print_run(made, directory)
        if "power" in options.kinds:
            print_power(made, output_console())
        if "sweep" in options.kinds:
            print_sweeps(made, output_console())
        if "converge" in options.kinds:
            print_counts(made, blessed, baseline_path(options.baseline, Path.cwd()), output_console())
    _record(made, history, quiet=as_json)
    return made.footer.exit_code if made.footer is not None else ExitCode.FAILED


def _finish(start: Callable[..., Run], options: RunOptions, *, as_json: bool, latest: bool) -> int:
    """Start a run of PyTorch's own parts, write the report, show the result, and return the exit code."""
    from harness.run.run import point_latest
    from harness.terminal import print_run, progress

    with progress() as shown:
        made = start(on_plan=shown.planned, on_record=shown.recorded, on_running=shown.running)
    if options.out is not None:
        _write_report(made, options.out)
        if latest:
            point_latest(options.out)
    if as_json:
        _print_json(made, options.out)
    else:
        print_run(made, options.out)
    return made.footer.exit_code if made.footer is not None else ExitCode.FAILED


def _sweep(wanted: Sweep, options: RunOptions, *, as_json: bool, latest: bool, history: str | None) -> int:
    """Sweep, write the report, show the result and what changed, and return the exit code."""
    from harness.run.run import point_latest
    from harness.run.sweep import sweep
    from harness.terminal import print_changes, print_run, progress

    with progress() as shown:
        swept = sweep(wanted, options, on_plan=shown.planned, on_record=shown.recorded, on_running=shown.running)
    if options.out is not None:
        _write_report(swept.run, options.out)
        if latest:
            point_latest(options.out)
    if as_json:
        _print_json(swept.run, options.out, swept.changes)
    else:
        print_run(swept.run, options.out, brief=True)
        if swept.changes is not None:
            print_changes(swept.changes)
    _record(swept.run, history, quiet=as_json)
    return swept.run.footer.exit_code if swept.run.footer is not None else ExitCode.FAILED


def _write_report(run: Run, directory: Path) -> None:
    """Write a run's report, or say why that cannot be done."""
    from harness.report.write import write_report

    try:
        write_report(run, directory)
    except OSError as error:
        raise UsageError(
            f"Cannot write the report: directory={str(directory)!r} cannot be written to ({error.strerror or error}). "
            f"Make room for it, then run: harness report {shlex.quote(str(directory))}"
        ) from error


def _history(option: str | None, command: str, *, has_out: bool) -> str | None:
    """Return where a run is to be recorded; a wrong setting is known before anything runs."""
    from harness.history.target import record_at

    return record_at(option, command=command, has_out=has_out, start=Path.cwd())


def _record(run: Run, url: str | None, *, quiet: bool) -> None:
    """Record a run in a history; what was interrupted is not: half a run is no point of a trend."""
    if url is None or run.footer is None or run.footer.interrupted:
        return
    from harness.history.store import append

    path = append(run, url)
    if not quiet:
        typer.echo(f"History: {path}")


def _add(directories: list[Path], url: str) -> None:
    """Record runs that are on disk."""
    from harness.history.store import append
    from harness.run.journal import read_run

    for run in [read_run(directory) for directory in directories]:
        append(run, url)


def _this_machine() -> Machine:
    from harness.history.fingerprint import machine_of, place_of
    from harness.run.environment import environment

    return machine_of(place_of(environment()))


def _write_page(view: View, path: Path) -> None:
    """Write a view of a history as a page, or say why that cannot be done."""
    from harness.history.page import render_history
    from harness.report.write import replace

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, render_history(view).encode(errors="replace"))
    except OSError as error:
        raise UsageError(
            f"Cannot write the page: html={str(path)!r} cannot be written ({error.strerror or error}). "
            "Name another file."
        ) from error


def _print_json(run: Run, directory: Path | None, changes: tuple[Change, ...] | None = None) -> None:
    """Print a run as one JSON document on standard output."""
    import json
    from collections import Counter
    from dataclasses import asdict

    from harness.run.journal import to_document

    document = {
        "run": to_document(run.header),
        "records": [to_document(record) for record in run.records],
        "end": None if run.footer is None else to_document(run.footer),
        "counts": dict(Counter(record.outcome.value for record in run.records)),
        "not_run": list(run.not_run),
        "directory": None if directory is None else str(directory),
    }
    if changes is not None:
        document["changes"] = [asdict(change) for change in changes]
    sys.stdout.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


def _in_ci() -> bool:
    """Whether the environment says that this is continuous integration."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")
