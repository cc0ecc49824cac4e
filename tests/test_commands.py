"""The command that repeats a finding."""

import shlex

import pytest

from harness.commands import repeat_command


def test_names_file_case_and_seed():
    """The line is what a person would type, with nothing else in it."""
    line = repeat_command("cases/calculus/square.yaml", "square-of-difference", 7, "verify")
    assert line == "harness verify cases/calculus/square.yaml -k square-of-difference --seed 7"


def test_benchmarks_are_repeated_by_bench():
    """The subcommand, not the record's kind, is what the shell gets."""
    assert repeat_command("a.yaml", "a", 0, "benchmark").startswith("harness bench ")


def test_survives_the_shell():
    """A path with spaces and quotes stays one argument."""
    path = "my cases/it's $HOME.yaml"
    assert shlex.split(repeat_command(path, "a", 0, "converge"))[2] == path


def test_refuses_an_unknown_kind():
    """A kind no subcommand makes is the caller's mistake, and the message lists the kinds."""
    with pytest.raises(ValueError, match="verify, converge, power, benchmark"):
        repeat_command("a.yaml", "a", 0, "verification")
