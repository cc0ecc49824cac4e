"""The frames a report is made from."""

import math
from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.records import Counts, Outcome, Run
from harness.report import columns, frames
from harness.report.write import results_bytes

SCHEMAS = {
    "accuracy": columns.ACCURACY,
    "agreements": columns.AGREEMENTS,
    "cases": columns.CASES,
    "ceilings": columns.CEILINGS,
    "contours": columns.CONTOURS,
    "converge": columns.CONVERGE,
    "counts": columns.COUNTS,
    "crossovers": columns.CROSSOVERS,
    "curves": columns.CURVES,
    "detection": columns.DETECTION,
    "edges": columns.EDGES,
    "findings": columns.FINDINGS,
    "fits": columns.FITS,
    "jobs": columns.JOBS,
    "nodes": columns.NODES,
    "rates": columns.RATES,
    "results": columns.RESULTS,
    "roofline": columns.ROOFLINE,
    "scalings": columns.SCALINGS,
    "speedups": columns.SPEEDUPS,
    "targets": columns.TARGETS,
    "timings": columns.TIMINGS,
    "trajectory": columns.TRAJECTORY,
}


def frame_of(name: str, run: Run) -> pd.DataFrame:
    return getattr(frames, f"{name}_frame")(run)


def one(frame: pd.DataFrame, **where: object) -> pd.Series:
    """The only row with these values."""
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return frame.iloc[0]


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("content", ["full", "empty"])
def test_columns_and_types_are_those_declared_whatever_the_run_holds(name, content, factory):
    """A frame of an empty run has the same columns and Arrow types as one of a full run."""
    run = factory.full_run() if content == "full" else Run(header=factory.header(planned=()), records=(), footer=None)
    frame = frame_of(name, run)
    expected = {field.name: pd.ArrowDtype(field.type) for field in SCHEMAS[name]}
    assert dict(frame.dtypes) == expected


def test_every_frame_is_declared():
    """A frame without declared columns would escape the test above."""
    assert {f"{name}_frame" for name in SCHEMAS} == {name for name in frames.__all__ if name.endswith("_frame")}


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_column_says_what_it_means(schema):
    """The meanings are the report's glossary, so none may be empty."""
    assert all(columns.meanings(schema).values())


def test_a_measured_nan_is_not_a_missing_number(factory):
    """NaN in a gradient is evidence; it must not turn into "unknown" on the way."""
    findings = frames.findings_frame(factory.full_run())
    row = one(findings, case="norm-at-zero", outcome="fail")
    assert math.isnan(row["actual"])
    assert row["digits"] is pd.NA


def test_findings_keep_the_order_and_number_of_the_records(factory):
    """Every comparison has exactly one row."""
    run = factory.full_run()
    count = sum(len(record.findings) for record in run.records if record.kind == "verify")
    assert len(frames.findings_frame(run)) == count


def test_a_declared_refuted_claim_leaves_its_case_green(factory):
    """A case passes with a refuted claim that its file declares."""
    row = one(frames.cases_frame(factory.full_run()), case="product-with-cosine")
    assert (row["outcome"], row["failed"], row["declared"]) == ("pass", 0, 1)


def test_an_undeclared_failure_turns_its_case_red(factory):
    """The same finding without a reason counts."""
    row = one(frames.cases_frame(factory.full_run()), case="linear-regression-rss")
    assert (row["outcome"], row["failed"], row["declared"]) == ("fail", 1, 0)


def test_a_declared_divergence_leaves_its_case_green(factory):
    """A descent that fails as its file declares counts as declared, not as failed."""
    row = one(frames.cases_frame(factory.full_run()), case="rosenbrock")
    assert (row["outcome"], row["converge"], row["declared"]) == ("pass", "pass", 1)


def test_a_verdict_speaks_for_its_case_where_all_jobs_did_equally_well(factory):
    """Gradient first: the message and the command of a green case are those of its verification."""
    run = factory.small_run(factory.descent("both"), factory.verify("both"))
    assert one(frames.cases_frame(run), case="both")["message"] == "2 independent checks agree with the gradient."


def test_red_cases_come_first(factory):
    """Failing cases lead the table, what never ran follows the red ones, and passing ones come last."""
    outcomes = list(frames.cases_frame(factory.full_run())["outcome"].fillna("not run"))
    order = ["fail", "error", "crashed", "timeout", "not run", "inconclusive", "vacuous", "skipped", "pass"]
    assert list(dict.fromkeys(outcomes)) == order


def test_every_outcome_is_counted_also_at_zero(factory):
    """An outcome that nothing had has a row of zeros."""
    counts = frames.counts_frame(factory.small_run())
    assert list(counts["outcome"]) == [*Outcome, frames.NOT_RUN]
    assert list(counts["cases"]) == [1, 0, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(("kind", "number"), [("cases", 1), ("verify", 1), ("converge", 0), ("benchmark", 1)])
def test_planned_jobs_without_a_record_are_counted_as_not_run(kind, number, factory):
    """What an interrupted run never started is visible, by case and by kind of work."""
    counts = frames.counts_frame(factory.full_run())
    assert one(counts, outcome=frames.NOT_RUN)[kind] == number


def test_cases_are_counted_once(factory):
    """The counts of cases add up to the cases."""
    run = factory.full_run()
    assert frames.counts_frame(run)["cases"].sum() == len(frames.cases_frame(run))


def test_jobs_are_the_planned_ones_in_order(factory):
    """Each planned job has one row, also when several seeds made several records."""
    run = factory.full_run()
    assert list(frames.jobs_frame(run)["job"]) == list(run.header.planned)


@pytest.mark.parametrize(
    ("limits", "decades", "cases"),
    [((1e-9, 1e-9), [-9], [2]), ((1e-12, 1e-9, 1e-10), [-12, -11, -10, -9], [1, 0, 1, 1]), ((None,), [], [])],
)
def test_detection_limits_fall_in_their_own_decade_without_gaps(limits, decades, cases, factory):
    """Rounding must not move 1e-9 to its neighbour, and an empty decade between two others is shown."""
    first, *rest = limits
    added = [factory.verify(f"case-{number}", detection_limit=limit) for number, limit in enumerate(rest)]
    run = factory.small_run(*added)
    run = replace(run, records=(replace(run.records[0], detection_limit=first), *run.records[1:]))
    frame = frames.detection_frame(run)
    assert (list(frame["decade"]), list(frame["cases"])) == (decades, cases)


def test_a_speed_up_divides_the_cpu_s_time_by_the_device_s(factory):
    """The ratio is CPU over CUDA, and its interval contains it."""
    frame = frames.speedups_frame(factory.full_run(cuda=True))
    row = one(frame, what="value", sizes="n=100000, d=3", device="cuda", by="device")
    assert row["ratio"] == pytest.approx(row["against_median_s"] / row["median_s"])
    assert row["low"] < row["ratio"] < row["high"]


def test_without_cuda_the_comparison_has_a_reason_and_no_ratio(factory):
    """A figure is never made up for a device that is not there."""
    frame = frames.speedups_frame(factory.full_run())
    cuda = frame[frame["device"] == "cuda"]
    assert len(cuda) == 12
    assert cuda["ratio"].isna().all()
    assert set(cuda["reason"]) == {factory.NO_CUDA}


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.PASS])
def test_a_speed_up_never_stands_beside_a_verdict_that_is_not_green(outcome, factory):
    """Whatever kept the verification from passing, no ratio is computed."""
    run = factory.small_run(factory.verify("slow", outcome), factory.benchmark("slow", cuda=True))
    frame = frames.speedups_frame(run)
    assert frame["ratio"].isna().all()
    assert frame["reason"].str.contains("not green").all()


def test_a_speed_up_never_stands_beside_a_failed_descent(factory):
    """A descent that did not arrive makes a verdict red as well."""
    red = factory.descent("slow", outcome=Outcome.FAIL)
    run = factory.small_run(factory.verify("slow"), red, factory.benchmark("slow", cuda=True))
    assert frames.speedups_frame(run)["ratio"].isna().all()


def test_results_hold_every_row_of_every_table(factory):
    """One long frame, told apart by its column `kind`."""
    run = factory.full_run()
    run = replace(run, records=(*run.records, factory.sweep("rosenbrock"), *factory.compared()))
    results = frames.results_frame(run)
    assert len(results[results["kind"] == "finding"]) == len(frames.findings_frame(run))
    assert set(results["kind"]) == set(columns.RESULT_TABLES)


def test_parquet_round_trip_keeps_values_and_says_what_columns_mean(factory):
    """What is written is what the frame holds, with NaN, missing numbers and lists."""
    run = factory.full_run()
    table = pq.read_table(pa.BufferReader(results_bytes(run)))
    pd.testing.assert_frame_equal(table.to_pandas(types_mapper=pd.ArrowDtype), frames.results_frame(run))
    assert table.schema.field("bar").metadata[b"description"]
    assert b"Imaginary CPU" in table.schema.metadata[b"environment"]


def test_counts_stand_in_the_timings(factory):
    """Counts and the compiler's time are columns of their own; what was not counted is missing."""
    counted = factory.timing(1e-3, counts=Counts(operators=(("aten.mv", 2), ("aten.sum", 1)), flops=8), compile_s=2.0)
    record = replace(factory.benchmark("a"), timings=(counted, factory.timing(1e-3, counts=None)))
    run = Run(header=factory.header(planned=(record.job,)), records=(record,), footer=None)
    first, second = frames.timings_frame(run).iloc
    assert (first["operator_calls"], first["flops"], first["compile_s"]) == (3, 8, 2.0)
    assert pd.isna(first["saved_bytes"])
    assert pd.isna(second["operator_calls"])
