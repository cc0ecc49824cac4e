"""Records survive being written and read back, whatever they hold."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records import (
    BenchmarkRecord,
    Ceilings,
    ConvergeRecord,
    Counts,
    Environment,
    Finding,
    Outcome,
    Run,
    RunFooter,
    RunHeader,
    Timing,
    VerifyRecord,
    worst,
)
from harness.run.journal import decode, encode

CEILINGS = Ceilings(device="cpu", dtype="float32", bytes_per_s=1e10, flops_per_s=1e11, copy_bytes=8, matrix_rows=4)
KINDS = [RunHeader, VerifyRecord, ConvergeRecord, BenchmarkRecord, RunFooter]
st.register_type_strategy(float, st.floats(width=64))
# Lone surrogates have no UTF-8; that encode replaces them is a test of its own.
st.register_type_strategy(str, st.text(st.characters(codec="utf-8"), max_size=12))
st.register_type_strategy(int, st.integers(-(2**63), 2**63 - 1))


def record() -> VerifyRecord:
    """A record with nothing remarkable in it."""
    return VerifyRecord(
        job="verify a", case="a", title="A", source="", path="a.yaml", outcome=Outcome.PASS, message="all agree"
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_round_trip(kind, data):
    """Every kind of record reads back as what was written: inf, nan, any text, empty and nested tuples."""
    made = data.draw(st.from_type(kind))
    assert repr(decode(encode(made))) == repr(made)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
def test_strict_json(number):
    """A number that JSON has no word for is a string in the line, not a bare word other readers refuse."""
    finding = Finding(check="a ~ b", outcome=Outcome.FAIL, message="", error=number)

    def refuse(word: str) -> None:
        raise ValueError(word)

    document = json.loads(encode(replace(record(), findings=(finding,))), parse_constant=refuse)
    assert float(document["findings"][0]["error"]) == pytest.approx(number, nan_ok=True)


def test_a_text_that_spells_a_number_stays_a_text():
    """Only floats are read from "Infinity"."""
    assert decode(encode(replace(record(), message="Infinity"))) == replace(record(), message="Infinity")


def test_one_line_per_record():
    """A line feed inside a text does not end the line."""
    assert "\n" not in encode(replace(record(), message="one\ntwo", traceback="a\r\nb"))


def test_text_without_utf8_is_replaced():
    """An undecodable file name must not lose the record, nor its infinities."""
    finding = Finding(check="a ~ b", outcome=Outcome.FAIL, message="", error=float("inf"), digits=float("nan"))
    made = decode(encode(replace(record(), path="caf\udce9.yaml", findings=(finding,))))
    assert (made.path, made.findings[0].error) == ("caf?.yaml", float("inf"))


@pytest.mark.parametrize("line", ["", "{", "[]", '{"kind": "verity"}', '{"kind": "verify"}', "null"])
def test_refuses_what_is_no_record(line):
    """Damage is an error, never a half-filled record."""
    with pytest.raises(ValueError, match="validation error"):
        decode(line)


def test_not_run_is_what_was_planned_and_has_no_record():
    """What never ran stays visible, in the planned order."""
    environment = Environment(
        python="3.11", platform="", cpu="", cpu_count=1, memory_bytes=None, torch="2", torch_threads=1, numpy="1",
        cuda=None, cuda_missing="none", harness="0", git_commit=None,
    )  # fmt: skip
    header = RunHeader(
        run="r", started="", command="", seed=0, planned=("verify b", "verify a", "verify c"), environment=environment
    )
    run = Run(header=header, records=(record(),), footer=None)
    assert run.not_run == ("verify b", "verify c")


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ((), Outcome.SKIPPED),
        ((Outcome.SKIPPED, Outcome.SKIPPED), Outcome.SKIPPED),
        ((Outcome.SKIPPED, Outcome.PASS), Outcome.PASS),
        ((Outcome.PASS, Outcome.FAIL, Outcome.ERROR), Outcome.FAIL),
        ((Outcome.INCONCLUSIVE, Outcome.VACUOUS), Outcome.INCONCLUSIVE),
    ],
)
def test_worst(outcomes, expected):
    """A case is as bad as its worst finding, and skips do not count beside evidence."""
    assert worst(outcomes) is expected


def test_a_benchmark_of_before_reads_back():
    """A journal written before there were counts, compile times and ceilings: what it lacks is unknown."""
    timing = Timing(outcome=Outcome.PASS, message="", what="value", variant="autograd", device="cpu", dtype="float32")
    made = BenchmarkRecord(
        job="benchmark a", case="a", title="A", source="", path="a.yaml", outcome=Outcome.PASS, message="",
        timings=(replace(timing, compile_s=1.0, counts=Counts(flops=2, operators=(("aten.mv", 1),))),),
        ceilings=(CEILINGS,),
    )  # fmt: skip
    assert decode(encode(made)) == made
    document = json.loads(encode(made))
    del document["ceilings"], document["timings"][0]["compile_s"], document["timings"][0]["counts"]
    assert decode(json.dumps(document)) == replace(made, timings=(timing,), ceilings=())
