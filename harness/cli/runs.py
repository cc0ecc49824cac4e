"""The commands that run case files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.conclude import conclude, history_of, until_interrupted
from harness.cli.options import (
    AsJson,
    DeviceName,
    Devices,
    Efforts,
    Jobs,
    Keyword,
    Memory,
    Out,
    Paths,
    Quick,
    Recorded,
    Seed,
    Strict,
    SweepName,
    Tags,
    Timeout,
    Trusted,
    command_line,
    in_ci,
)

if TYPE_CHECKING:
    from harness.records import Run
    from harness.run.bless import Blessed
    from harness.run.options import Kind, RunOptions


def _command(name: str, kinds: tuple[Kind, ...]) -> Callable[..., None]:
    """Make a command that runs case files; all of them take the same options."""

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
            strict=in_ci() if strict is None else strict,
            jobs=jobs,
            trust=tuple(trust or ()),
            timeout_s=timeout,
            memory_gib=memory,
            quick=name == "run" if quick is None else quick,
            effort=effort.value if effort else ("quick" if name == "bench" else "standard"),
            command=command_line(),
        )
        url = history_of(history, name, has_out=out is not None)
        go = partial(_go, paths or ["cases"], options, as_json=json, latest=out is None, history=url)
        raise typer.Exit(until_interrupted(go))

    return command


verify = _command("verify", ("verify",))
power = _command("power", ("power",))
bench = _command("bench", ("benchmark",))
run_all = _command("run", ("verify", "converge", "benchmark"))


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
            help="Blessed step counts to compare with. (default: where \\[tool.harness] says, else"
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
        strict=in_ci() if strict is None else strict,
        jobs=jobs,
        trust=tuple(trust or ()),
        timeout_s=timeout,
        memory_gib=memory,
        baseline=baseline,
        bless=bless,
        grid=sweep_grid(grid, seeds, sweeps=sweep is not None, bless=bless),
        seeds=seeds,
        command=command_line(),
    )
    url = history_of(history, "converge", has_out=out is not None)
    go = partial(_go, paths or ["cases"], options, as_json=json, latest=out is None, history=url)
    raise typer.Exit(until_interrupted(go))


def _go(paths: list[str], options: RunOptions, *, as_json: bool, latest: bool, history: str | None) -> int:
    """Run, write the report, show the result, and return the exit code."""
    from harness.run.bless import bless_run
    from harness.run.run import run
    from harness.terminal.run import progress

    blessed = None
    with progress() as shown:
        plan, record, running = shown.planned, shown.recorded, shown.running
        if options.bless:
            made, blessed = bless_run(paths, options, on_plan=plan, on_record=record, on_running=running)
        else:
            made = run(paths, options, on_plan=plan, on_record=record, on_running=running)
    show = partial(_show, made, options, blessed)
    return conclude(made, options.out, as_json=as_json, latest=latest, show=show, history=history)


def _show(made: Run, options: RunOptions, blessed: Blessed | None) -> None:
    """Show a run, with what its kinds of job have to say besides."""
    from harness.run.blessed import baseline_path
    from harness.terminal.counts import print_counts
    from harness.terminal.power import print_power
    from harness.terminal.rates import print_sweeps
    from harness.terminal.run import output_console, print_run

    print_run(made, options.out)
    if "power" in options.kinds:
        print_power(made, output_console())
    if "sweep" in options.kinds:
        print_sweeps(made, output_console())
    if "converge" in options.kinds:
        print_counts(made, blessed, baseline_path(options.baseline, Path.cwd()), output_console())
