"""The records of a run as pandas frames, row for row.

Pure functions. Each returns a frame with the columns and Arrow types `columns` declares, whatever the run holds; a
missing number is NA, while a NaN that was measured stays NaN. What a run means (which outcome a case has, what may be
compared with what) is `summary`'s job.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa

from harness.records import BenchmarkRecord, CaseRecord, ConvergeRecord, Run, Timing, VerifyRecord
from harness.report import columns
from harness.report.descents import descent_names, start_text

Row = Mapping[str, object]


def findings_frame(run: Run) -> pd.DataFrame:
    """Return one row per comparison, in the order of the records."""
    return build(
        (
            _fields(finding, columns.FINDINGS) | _key(record) | {"number": number}
            for record in verify_records(run)
            for number, finding in enumerate(record.findings)
        ),
        columns.FINDINGS,
    )


def curves_frame(run: Run) -> pd.DataFrame:
    """Return one row per step of every error-against-step curve."""
    return build(
        (
            _key(record)
            | {"label": curve.label, "step_size": step, "error": error, "extrapolated_error": better}
            | {"chosen": at == curve.chosen}
            for record in verify_records(run)
            for curve in record.curves
            for at, (step, error, better) in enumerate(
                zip(curve.steps, curve.errors, curve.extrapolated_errors, strict=True)
            )
        ),
        columns.CURVES,
    )


def nodes_frame(run: Run) -> pd.DataFrame:
    """Return one row per node of every computation graph."""
    return build(
        (
            _key(record) | {"node": node.id, "label": node.label, "kind": node.kind, "value": node.value}
            for record in verify_records(run)
            if record.graph is not None
            for node in record.graph.nodes
        ),
        columns.NODES,
    )


def edges_frame(run: Run) -> pd.DataFrame:
    """Return one row per edge of every computation graph."""
    return build(
        (
            _key(record) | {"source": edge.source, "target": edge.target, "partial": edge.partial}
            for record in verify_records(run)
            if record.graph is not None
            for edge in record.graph.edges
        ),
        columns.EDGES,
    )


def converge_frame(run: Run) -> pd.DataFrame:
    """Return one row per convergence run."""
    names = descent_names(run)
    return build((_descent_row(record, names) for record in converge_records(run)), columns.CONVERGE)


def targets_frame(run: Run) -> pd.DataFrame:
    """Return one row per target of the ladder of every convergence run."""
    names = descent_names(run)
    return build(
        (
            _descent_key(record, names) | {"optimizer": record.optimizer} | _fields(target, columns.TARGETS)
            for record in converge_records(run)
            for target in record.targets
        ),
        columns.TARGETS,
    )


def trajectory_frame(run: Run) -> pd.DataFrame:
    """Return one row per kept step of every convergence run."""
    names = descent_names(run)
    return build(
        (
            _descent_key(record, names) | _fields(point, columns.TRAJECTORY)
            for record in converge_records(run)
            for point in record.trajectory
        ),
        columns.TRAJECTORY,
    )


def contours_frame(run: Run) -> pd.DataFrame:
    """Return one row per grid point of every loss surface."""
    names = descent_names(run)
    return build(
        (
            _descent_key(record, names)
            | {"x_label": contour.labels[0], "y_label": contour.labels[1], "x": x, "y": y, "loss": loss}
            for record in converge_records(run)
            if (contour := record.contour) is not None
            for y, row in zip(contour.y, contour.values, strict=True)
            for x, loss in zip(contour.x, row, strict=True)
        ),
        columns.CONTOURS,
    )


def fits_frame(run: Run) -> pd.DataFrame:
    """Return one row per datum, and one per predicted value and kept step, of every animated fit."""
    names = descent_names(run)
    return build(
        (
            _descent_key(record, names) | {"x_label": fit.x_label, "y_label": fit.y_label, "step": step, "x": x, "y": y}
            for record in converge_records(run)
            if (fit := record.fit) is not None
            for step, values in [(None, fit.y), *zip(fit.steps, fit.predictions, strict=True)]
            for x, y in zip(fit.x, values, strict=True)
        ),
        columns.FITS,
    )


def timings_frame(run: Run) -> pd.DataFrame:
    """Return one row per timed pass; a pass that could not be timed has a row with its reason."""
    return build(
        (_key(record) | _timing_row(timing) for record in benchmark_records(run) for timing in record.timings),
        columns.TIMINGS,
    )


def scalings_frame(run: Run) -> pd.DataFrame:
    """Return one row per fitted growth exponent."""
    return build(
        (
            _key(record) | _fields(scaling, columns.SCALINGS)
            for record in benchmark_records(run)
            for scaling in record.scalings
        ),
        columns.SCALINGS,
    )


def crossovers_frame(run: Run) -> pd.DataFrame:
    """Return one row per size at which an accelerator overtakes the CPU, or reason why there is none."""
    return build(
        (
            _key(record) | _fields(crossover, columns.CROSSOVERS)
            for record in benchmark_records(run)
            for crossover in record.crossovers
        ),
        columns.CROSSOVERS,
    )


def agreements_frame(run: Run) -> pd.DataFrame:
    """Return one row per result of an accelerator that was compared with the CPU's."""
    return build(
        (
            _key(record) | _fields(agreement, columns.AGREEMENTS) | {"sizes": sizes_text(agreement.sizes)}
            for record in benchmark_records(run)
            for agreement in record.agreements
        ),
        columns.AGREEMENTS,
    )


def verify_records(run: Run) -> Iterator[VerifyRecord]:
    """Yield the run's verdicts, in order."""
    return (record for record in run.records if isinstance(record, VerifyRecord))


def converge_records(run: Run) -> Iterator[ConvergeRecord]:
    """Yield the run's descents, in order."""
    return (record for record in run.records if isinstance(record, ConvergeRecord))


def benchmark_records(run: Run) -> Iterator[BenchmarkRecord]:
    """Yield the run's timings, in order."""
    return (record for record in run.records if isinstance(record, BenchmarkRecord))


def build(rows: Iterable[Row], schema: pa.Schema) -> pd.DataFrame:
    """Return a frame with exactly the columns of `schema`; what a row lacks is missing.

    Raises:
        pyarrow.ArrowInvalid: when a value is not of its column's type.
    """
    names = schema.names
    data: dict[str, list[object]] = {name: [] for name in names}
    for row in rows:
        for name in names:
            data[name].append(row.get(name))
    try:
        table = pa.Table.from_pydict(data, schema=schema)
    except UnicodeEncodeError:
        table = pa.Table.from_pydict({name: _encodable(column) for name, column in data.items()}, schema=schema)
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def rows(frame: pd.DataFrame) -> list[SimpleNamespace]:
    """Return a frame's rows for a template: columns are attributes, what is missing is None."""
    return [SimpleNamespace(**row) for row in pa.Table.from_pandas(frame, preserve_index=False).to_pylist()]


def _fields(record: object, schema: pa.Schema) -> dict[str, object]:
    """Return the fields of a record that are columns too, under their own names."""
    return {name: _plain(getattr(record, name)) for name in schema.names if hasattr(record, name)}


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _encodable(column: list[object]) -> list[object]:
    """Replace what no UTF-8 file can hold: lone surrogates, as names of undecodable files have them."""
    return [value.encode(errors="replace").decode() if isinstance(value, str) else value for value in column]


def _key(record: CaseRecord) -> dict[str, object]:
    return {"job": record.job, "case": record.case}


def _descent_key(record: ConvergeRecord, names: Mapping[str, str]) -> dict[str, object]:
    return {**_key(record), "descent": f"{names[record.job]} · seed {record.seed}", "seed": record.seed}


def _descent_row(record: ConvergeRecord, names: Mapping[str, str]) -> dict[str, object]:
    listed = record.minimum or record.final
    texts = {
        "minimum": "\n".join(f"{name} = {numbers_text(values)}" for name, values in record.minimum) or None,
        "final": "\n".join(f"{name} = {numbers_text(values)}" for name, values in record.final) or None,
        "metric": ", ".join(f"{name} {value:.6g}" for name, value in record.metric) or None,
    }
    return (
        _fields(record, columns.CONVERGE)
        | _descent_key(record, names)
        | texts
        | {
            "dimension": sum(len(values) for _, values in listed) or None,
            "start": start_text(record),
        }
    )


def _timing_row(timing: Timing) -> dict[str, object]:
    numbers = {"sizes": sizes_text(timing.sizes), "n": len(timing.samples) or None}
    counts = {} if timing.counts is None else _fields(timing.counts, columns.TIMINGS)
    return _fields(timing, columns.TIMINGS) | counts | numbers | _device_row(timing)


def _device_row(timing: Timing) -> dict[str, object]:
    times = timing.on_device
    if times is None:
        return {}
    clocks = {"cold_s": times.cold, "host_s": times.host, "end_to_end_s": times.end_to_end}
    return {name: None if measured is None else measured.median_s for name, measured in clocks.items()} | {
        "throttled_samples": times.throttled,
        "launch_exposed": times.launch_exposed,
        "notes": "; ".join(times.notes) or None,
    }


def sizes_text(sizes: tuple[tuple[str, int], ...]) -> str:
    """Return sizes as a row shows them: ``n=1000, d=3``."""
    return ", ".join(f"{name}={size}" for name, size in sizes)


def numbers_text(values: tuple[float, ...], *, most: int = 6) -> str:
    """Return a few numbers as text: a scalar bare, a longer list in brackets, cut after `most`."""
    shown = [f"{value:.6g}" for value in values[:most]]
    if len(values) == 1:
        return shown[0]
    more = [f"… {len(values) - most} more"] if len(values) > most else []
    return "[" + ", ".join(shown + more) + "]"
