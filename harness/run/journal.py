"""The journal of a run: one JSON line per record, written the moment the record is there.

First the run's header, then records as jobs finish, last the footer; a journal without a footer belongs to a run that
was cut off. Lines are strict JSON: infinities and NaN are the strings "Infinity", "-Infinity" and "NaN". This module
knows how records look on disk and nothing about how they come about.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Annotated, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from harness.errors import UsageError
from harness.records import (
    RECORD_VERSION,
    BenchmarkRecord,
    CaseRecord,
    ConvergeRecord,
    Run,
    RunFooter,
    RunHeader,
    SweepRecord,
    VerifyRecord,
)

FILE_NAME = "results.jsonl"

Record = RunHeader | CaseRecord | RunFooter
"""What one line of a journal holds."""

_CONFIG = ConfigDict(ser_json_inf_nan="strings")
_ADAPTER: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")], config=_CONFIG)


def encode(record: Record) -> str:
    """Return a record as one line of strict JSON, without its line feed.

    Characters that UTF-8 cannot hold (lone surrogates, as in undecodable file names) become "?".
    """
    try:
        return _ADAPTER.dump_json(record).decode()
    except ValueError:
        plain = json.dumps(_jsonable(_ADAPTER.dump_python(record)), ensure_ascii=False)
        return plain.encode("utf-8", "replace").decode()


def decode(line: str | bytes) -> Record:
    """Return the record that a line holds.

    Raises:
        ValueError: if the line is not JSON, or not a record.
    """
    return _ADAPTER.validate_json(line)


def to_document(record: Record) -> dict[str, object]:
    """Return a record as plain JSON values, for a larger document."""
    document: dict[str, object] = json.loads(encode(record))
    return document


class Journal:
    """A journal being written.

    Each line reaches the operating system in one unbuffered write, so that neither an interrupt nor the death of this
    process leaves more than a torn last line.
    """

    def __init__(self, path: Path) -> None:
        """Start a journal at `path`, replacing what is there and making its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("wb", buffering=0)

    def write(self, record: Record) -> None:
        """Append a record."""
        self._file.write(encode(record).encode() + b"\n")

    def close(self) -> None:
        """Close the file; nothing can be written afterwards."""
        self._file.close()

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the file."""
        self.close()


def read_run(directory: str | Path) -> Run:
    """Read a run back from its directory (or from its journal file).

    A torn last line, as a killed process leaves it, is dropped; its job then counts as not run.

    Raises:
        UsageError: if there is no journal, or it is not one, or of another version, or damaged before its last line.
    """
    path = Path(directory)
    path = path / FILE_NAME if path.is_dir() else path
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"Cannot read results: path={str(path)!r} {_reason(error)}. "
            "Name the directory of a run, such as reports/latest."
        ) from error
    records = _records(path, content)
    headers = [record for record in records if isinstance(record, RunHeader)]
    footers = [record for record in records if isinstance(record, RunFooter)]
    if not headers:
        raise _not_a_run(path)
    return Run(
        header=headers[0],
        records=tuple(
            r for r in records if isinstance(r, VerifyRecord | ConvergeRecord | SweepRecord | BenchmarkRecord)
        ),
        footer=footers[-1] if footers else None,
    )


def _records(path: Path, content: bytes) -> list[Record]:
    """Return the records of a journal, see `read_run` for what it refuses."""
    lines = content.split(b"\n")
    _check_version(path, lines[0])
    torn = lines.pop()  # empty when the last line was finished
    records = []
    for number, line in enumerate([*lines, torn] if torn else lines, start=1):
        try:
            records.append(decode(line))
        except ValidationError as error:
            if number > len(lines) > 0:
                break
            raise UsageError(
                f"Cannot read results: {path}:{number}: {error.errors()[0]['msg']}. "
                "The file is damaged; run again, or remove that line to read the rest."
            ) from error
    return records


def _check_version(path: Path, line: bytes) -> None:
    """Refuse a file whose first line is no run header of this version."""
    try:
        first = json.loads(line)
    except ValueError:
        first = None
    if not isinstance(first, dict) or first.get("kind") != "run":
        raise _not_a_run(path)
    version = first.get("version")
    if version != RECORD_VERSION:
        raise UsageError(
            f"Cannot read results: {path}: version={version!r} is not {RECORD_VERSION}, which this program writes. "
            "Use the version of the program that wrote it, or run again."
        )


def _not_a_run(path: Path) -> UsageError:
    return UsageError(f"Cannot read results: {path}:1: the first line is no run header. Name the directory of a run.")


def _reason(error: OSError) -> str:
    return "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be opened ({error.strerror})"


def _jsonable(value: object) -> object:
    """Return nested Python values with what JSON has no word for written as `encode` writes it."""
    if isinstance(value, dict):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value == float("inf") else "-Infinity"
    return value
