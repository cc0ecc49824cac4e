"""The commands that verify what PyTorch itself ships: its operators, its optimizers."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli.conclude import conclude, history_of, until_interrupted
from harness.cli.options import (
    AsJson,
    DeviceName,
    EffortName,
    Jobs,
    Memory,
    Out,
    Recorded,
    Seed,
    Strict,
    Timeout,
    command_line,
    in_ci,
)

if TYPE_CHECKING:
    from harness.run.options import RunOptions
    from harness.run.sweep import Sweep


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
        strict=in_ci() if strict is None else strict,
        jobs=jobs,
        timeout_s=timeout or TIMEOUT_S,
        memory_gib=memory,
        effort="quick",
        command=command_line(),
    )
    wanted = Sweep(names=tuple(names or ()), dtype=dtype, samples=samples, baseline=baseline)
    url = history_of(history, "torch", has_out=out is not None)
    go = partial(_sweep, wanted, options, as_json=json, latest=out is None, history=url)
    raise typer.Exit(until_interrupted(go))


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
    from harness.run.options import RunOptions
    from harness.run.run import default_directory

    options = RunOptions(
        keyword=keyword,
        out=out or default_directory("optimizers"),
        seed=seed,
        device=device.value,
        strict=in_ci() if strict is None else strict,
        jobs=jobs,
        timeout_s=timeout,
        memory_gib=memory,
        effort=effort.value if effort else "standard",
        command=command_line(),
    )
    go = partial(_verify, tuple(names or ()), options, as_json=json, latest=out is None)
    raise typer.Exit(until_interrupted(go))


def _verify(names: tuple[str, ...], options: RunOptions, *, as_json: bool, latest: bool) -> int:
    """Verify optimizers, write the report, show the result, and return the exit code."""
    from harness.run.optimizers import verify_optimizers
    from harness.terminal.run import print_run, progress

    with progress() as shown:
        made = verify_optimizers(
            names, options, on_plan=shown.planned, on_record=shown.recorded, on_running=shown.running
        )
    show = partial(print_run, made, options.out)
    return conclude(made, options.out, as_json=as_json, latest=latest, show=show)


def _sweep(wanted: Sweep, options: RunOptions, *, as_json: bool, latest: bool, history: str | None) -> int:
    """Sweep, write the report, show the result and what changed, and return the exit code."""
    from harness.run.sweep import sweep
    from harness.terminal.run import print_changes, print_run, progress

    with progress() as shown:
        swept = sweep(wanted, options, on_plan=shown.planned, on_record=shown.recorded, on_running=shown.running)

    def show() -> None:
        print_run(swept.run, options.out, brief=True)
        if swept.changes is not None:
            print_changes(swept.changes)

    return conclude(
        swept.run, options.out, as_json=as_json, latest=latest, show=show, changes=swept.changes, history=history
    )
