"""The application: which commands there are, and how an error ends the process."""

from __future__ import annotations

import errno
import sys
from typing import Annotated

import typer

from harness.cli import gate, installed, results, runs
from harness.cli.options import command_line
from harness.errors import HarnessError, NothingToRunError, UsageError
from harness.records import ExitCode

app = typer.Typer(
    epilog=(
        "Exit codes: 0 all passed · 1 something failed · 2 the command or a case file is wrong · 3 nothing failed, but"
        " something was inconclusive, vacuous or errored (1 with --strict) · 5 nothing ran ·"
        " 70 a fault of the harness itself · 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("verify", help="Is the gradient right? Check every case against independent oracles.")(runs.verify)
app.command("converge")(runs.converge)
app.command("power", help="Would the checks notice? Inject every fault into every case, and count.")(runs.power)
app.command("bench", help="How fast is it? Verify quickly, then time what passed.")(runs.bench)
app.command("run", help="All three, with a short timing pass.")(runs.run_all)
app.command("gate")(gate.gate)
app.command("torch")(installed.torch_)
app.command("optimizers")(installed.optimizers)
app.command("report")(results.report)
app.command("history")(results.history_)
app.command("schema")(results.schema)


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
    except Exception as error:  # noqa: BLE001  The process's boundary: whatever else comes this far is our fault.
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _fail(UsageError(f"Cannot write: {error}. Make room for it, and run the command again."), ExitCode.USAGE)
        _own_up()


def _fail(error: HarnessError, code: int) -> None:
    """Say what is wrong, one line per fault, and end."""
    sys.stderr.write(f"{error}\n")
    sys.exit(code)


def _own_up() -> None:
    """Show the exception at hand, say that it is a fault of the harness and what to report, and end."""
    import traceback
    from importlib.metadata import version

    traceback.print_exc()
    sys.stderr.write(
        f"This is a fault of harness {version('harness')}, no verdict on a case. Please report it, with the lines above"
        f" and the case files of: {command_line()}\n"
    )
    sys.exit(ExitCode.FAULT)
