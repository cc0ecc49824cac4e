"""The command line: what it prints where, and what it ends with."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import app as cli
from harness.errors import NothingToRunError, UsageError
from harness.records import ExitCode, Outcome
from harness.run.journal import FILE_NAME, read_run

GOOD = """\
case: square
title: Sum of [bold]squares[/bold]
inputs: {x: {shape: [3]}}
function: sum(x*x)
gradient: {x: 2*x}
"""
WRONG = """\
case: cube
title: Sum of cubes, with a wrong gradient
inputs: {x: {shape: [3]}}
function: sum(x**3)
gradient: {x: 2*x**2}
"""
HANG = """\
case: hang
title: Never ends
inputs: {x: {shape: [3]}}
function: {python: "./subjects.py:hang"}
"""
SUBJECTS = """\
import os
from pathlib import Path


def hang(x):
    print("printed by a subject", flush=True)
    Path(__file__).with_name("hang.pid").write_text(str(os.getpid()))
    while True:
        pass
"""
ARTEFACTS = {"results.jsonl", "results.parquet", "report.html", "summary.md", "junit.xml"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with case files, outside of any project and of CI."""
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "wrong.yaml").write_text(WRONG)
    (tmp_path / "hang.yaml").write_text(HANG)
    (tmp_path / "subjects.py").write_text(SUBJECTS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


@pytest.fixture
def harness(monkeypatch, capsys):
    """A function that runs a command line in this process and returns (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return (ended.value.code or 0, *capsys.readouterr())

    return call


def test_help_imports_nothing_heavy():
    """The command line's module loads without torch and its like, or --help could not answer at once."""
    heavy = ["torch", "numpy", "pandas", "pydantic", "scipy", "sympy", "plotly"]
    code = f"import sys, harness, harness.cli.app; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_help_answers_at_once():
    """--help takes less than 0.3 s of processor time (best of three; other work on the machine does not count)."""

    def spent():
        before = os.times()
        subprocess.run([sys.executable, "-m", "harness", "--help"], capture_output=True, check=True, timeout=60)
        after = os.times()
        return after.children_user - before.children_user + after.children_system - before.children_system

    assert min(spent() for _ in range(3)) < 0.3


def test_version(harness):
    """--version names the program and its version."""
    code, out, _ = harness("--version")
    assert (code, out.split()[0]) == (0, "harness")


def test_schema_is_json(harness):
    """The schema goes to standard output as one JSON document."""
    _, out, _ = harness("schema")
    assert "properties" in json.loads(out)


@pytest.mark.parametrize("command", ["verify", "converge", "bench", "run", "gate", "report", "schema"])
def test_every_command_has_help(harness, command):
    """Each command explains itself and succeeds in doing so."""
    assert harness(command, "--help")[0] == 0


@pytest.mark.parametrize("command", ["converge", "run", "bench"])
def test_help_shows_what_stands_in_brackets(harness, command):
    """The table of pyproject.toml is named, and not taken for markup."""
    assert "[tool.harness]" in harness(command, "--help")[1]


def test_all_passed_is_zero(here, harness):
    """A green run ends with 0 and leaves the whole run directory."""
    code, out, _ = harness("verify", "good.yaml", "--out", "out", "--jobs", 1)
    assert (code, "1 pass" in out) == (0, True)
    assert {path.name for path in Path("out").iterdir()} >= ARTEFACTS


def test_a_wrong_gradient_is_one(here, harness):
    """A red run ends with 1 and prints the command that repeats it."""
    code, out, _ = harness("verify", "wrong.yaml", "good.yaml", "--out", "out")
    assert (code, "harness verify wrong.yaml -k cube --seed 0" in out) == (1, True)


def test_a_table_shows_text_as_it_is(here, harness):
    """What a case file says is never read as markup; without a terminal there are no colours and no progress."""
    _, out, err = harness("verify", "good.yaml", "--out", "out")
    assert ("\x1b" in out, err) == (False, "")


@pytest.mark.parametrize("strict", [(), ("--strict",)])
def test_skipped_alone_is_five(here, harness, strict):
    """A run that had nothing to show for itself says so, strict or not."""
    Path("good.yaml").write_text(GOOD + "verify: {skip: not today}\n")
    assert harness("verify", "good.yaml", "--out", "out", *strict)[0] == ExitCode.NOTHING_RAN


@pytest.mark.parametrize(("environment", "expected"), [("", ExitCode.UNDECIDED), ("true", ExitCode.FAILED)])
def test_ci_is_strict(here, harness, monkeypatch, environment, expected):
    """What is undecided fails in continuous integration, and is told apart elsewhere."""
    monkeypatch.setenv("CI", environment)
    assert harness("verify", "hang.yaml", "--out", "out")[0] == expected  # not trusted, hence an error


@pytest.mark.parametrize(
    ("arguments", "expected", "said"),
    [
        (["nowhere.yaml"], 2, "nowhere.yaml"),
        (["good.yaml", "-k", "a and"], 2, "Cannot"),
        (["good.yaml", "-k", "nothing-like-it"], 5, "nothing-like-it"),
        (["good.yaml", "--seed", "x"], 2, "--seed"),
        (["good.yaml", "--device", "tpu"], 2, "--device"),
        (["good.yaml", "--out", "good.yaml"], 2, "good.yaml"),
        (["empty"], 5, "empty"),
    ],
)
def test_misuse_is_a_message(here, harness, arguments, expected, said):
    """A wrong command names what is wrong on standard error, and nothing goes to standard output."""
    Path("empty").mkdir()
    code, out, err = harness("verify", *arguments)
    assert (code, out) == (expected, "")
    assert said in err
    assert "Traceback" not in err


def test_a_wrong_case_file_has_positions(here, harness):
    """Every fault of every file is one line with file, line and column, and the code is 2."""
    Path("one.yaml").write_text(GOOD.replace("title", "titel"))
    Path("two.yaml").write_text(GOOD.replace("case: square", "case: other").replace("sum(", "summ("))
    code, _, err = harness("verify", "one.yaml", "two.yaml", "--out", "out")
    assert code == ExitCode.USAGE
    assert "one.yaml:2:1: " in err
    assert "two.yaml:4:11: " in err
    assert "Traceback" not in err


def test_json_is_all_there_is_on_standard_output(here):
    """With --json, standard output is one document although subjects print; a hang in it is a timeout and a failure."""
    command = [
        sys.executable, "-m", "harness", "verify", "hang.yaml", "good.yaml", "--trust", ".", "--timeout", "5", "--json",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    document = json.loads(done.stdout)
    assert {r["case"]: r["outcome"] for r in document["records"]} == {"hang": "timeout", "square": "pass"}
    assert (document["end"]["exit_code"], done.returncode) == (ExitCode.FAILED, ExitCode.FAILED)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_an_interrupt_leaves_a_whole_report(here, interruptible, number):
    """Ctrl-C stops the workers, closes the journal, writes the report of what was done, and ends with 130."""
    command = [
        sys.executable, "-m", "harness", "verify", "good.yaml", "hang.yaml", "--trust", ".", "--out", "out", "-j", "1",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(process, lambda: (here / "hang.pid").exists() and (here / "hang.pid").read_text())
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    made = read_run(here / "out")
    assert (process.returncode, "Traceback" in err) == (ExitCode.INTERRUPTED, False)
    assert [(r.case, r.outcome) for r in made.records] == [("square", Outcome.PASS)]
    assert (made.footer.interrupted, made.not_run) == (True, ("verify hang",))
    assert "1 not run (verify hang)" in out
    assert {path.name for path in (here / "out").iterdir()} >= ARTEFACTS
    assert not alive(int((here / "hang.pid").read_text()))


def test_a_report_is_rebuilt_from_a_torn_journal(here, harness):
    """`harness report` needs the journal alone, even one that was cut off."""
    harness("verify", "good.yaml", "wrong.yaml", "--out", "out")
    content = Path("out", FILE_NAME).read_bytes()
    Path("torn").mkdir()
    Path("torn", FILE_NAME).write_bytes(content[: content.rindex(b'"kind":"verify"') + 50])
    code, out, _ = harness("report", "torn")
    assert (code, "1 not run (verify " in out) == (0, True)  # whichever of the two ended last
    assert {path.name for path in Path("torn").iterdir()} >= ARTEFACTS


def test_a_report_of_nothing_is_a_message(here, harness):
    """A directory without a run is named, and the code is 2."""
    code, _, err = harness("report", "elsewhere")
    assert (code, "elsewhere" in err, "Traceback" in err) == (ExitCode.USAGE, True, False)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("out of order"), ExitCode.FAULT),
        (OSError(errno.EBADF, "bad file descriptor"), ExitCode.FAULT),
        (OSError(errno.ENOSPC, "no space left"), ExitCode.USAGE),
        (UsageError("Cannot do it."), ExitCode.USAGE),
        (NothingToRunError("Cannot find any."), ExitCode.NOTHING_RAN),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_a_fault_of_the_harness_has_a_code_of_its_own(harness, monkeypatch, error, expected):
    """An exception that nobody expected keeps its traceback, is owned up to and is no failure; others are as ever."""

    def broken():
        raise error

    monkeypatch.setattr("harness.case.jsonschema.schema_text", broken)
    code, out, err = harness("schema")
    assert (code, out) == (expected, "")
    is_fault = expected == ExitCode.FAULT
    assert ("Traceback" in err, f"{error}\nThis is a fault of harness" in err) == (is_fault, is_fault)
    assert err.endswith("the case files of: harness schema\n") == is_fault


def until(process, condition, tries=1200):
    """Wait for a condition while a process runs, looking 20 times a second and a minute at most."""
    for _ in range(tries):
        if condition():
            return
        try:
            process.wait(timeout=0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(
        f"never came true; the process said: {process.stderr.read() if process.poll() is not None else ''}"
    )


def alive(pid):
    """Whether a process of that number still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
