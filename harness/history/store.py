"""Where history lies: a folder of Parquet files, one per run, on any file system that fsspec knows.

Files are only ever added, under names that no two writers share, and appear whole or not at all; nothing is rewritten,
and no lock is taken, so any number of writers may work at once. A reader takes what it can read and names the rest.
How rows are made is `frame`'s job, and what they come to that of `trends`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import UsageError
from harness.history.frame import SCHEMA, VERSION, history_frame
from harness.records import Run
from harness.report.write import replace
from harness.run.journal import encode

OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oci", "oss", "hf", "memory"})
"""File systems on which an object appears when it is complete, and not before; a move there would be a second copy."""
KEY = b"harness.history"
"""Of the metadata that tells our files from others."""
AT_ONCE = 64
"""Files held in memory together while reading."""
_NAME = re.compile(r"(?P<time>\d{8}T\d{6}Z)-[0-9a-z]+-[0-9a-f]{16}\.parquet")
_UNFINISHED = re.compile(r"\.?.+\.parquet[.-].+|\..+\.parquet.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A file that was not used, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Archive:
    """What a history holds."""

    url: str
    frame: pd.DataFrame
    """Rows of all runs, as in `frame.SCHEMA`; older runs lack newer columns."""
    files: int
    left: tuple[Left, ...]


def append(run: Run, url: str) -> str:
    """Add a run to a history, which is made if need be.

    Args:
        run: a finished run.
        url: a folder, or a URL such as ``s3://bucket/folder``.

    Returns:
        The path of the file that holds it.

    Raises:
        UsageError: the URL cannot be used or written to.
    """
    system, folder = _open(url)
    path = f"{folder.rstrip('/')}/{_new_name(run)}"
    content = _content(run)
    try:
        _put(system, path, content)
    except Exception as error:  # every file system has exceptions of its own
        raise UsageError(
            f"Cannot record history: url={url!r} cannot be written to ({_short(error)}). Name another with --history, "
            "or record the run later: harness history URL --add DIR"
        ) from error
    return str(system.unstrip_protocol(path)) if "://" in url else path


def read(url: str, *, since: datetime | None = None, columns: Sequence[str] = SCHEMA.names) -> Archive:
    """Read a history.

    Args:
        url: as for `append`.
        since: leave out runs that started before.
        columns: the columns that are wanted.

    Returns:
        Its rows in the order of time. Files that are unfinished, foreign, damaged, of a newer version, or the same run
        once more, are left out and named.

    Raises:
        UsageError: the URL cannot be used, or there is nothing of that name.
    """
    system, folder = _open(url)
    schema = pa.schema([SCHEMA.field(name) for name in columns])
    tables: list[pa.Table] = []
    left: list[Left] = []
    seen: dict[str, str] = {}
    for path, content in _contents(system, folder, url, since, left):
        name = path.rpartition("/")[2]
        try:
            table, digest = _table(content, schema)
        except (ValueError, OSError, pa.ArrowException) as error:  # what pyarrow says to bytes that are no Parquet
            left.append(Left(name=name, reason=_short(error)))
            continue
        if digest in seen:
            left.append(Left(name=name, reason=f"holds the same run as {seen[digest]}"))
            continue
        seen[digest] = name
        tables.append(table)
    whole = pa.concat_tables(tables) if tables else schema.empty_table()
    frame = whole.to_pandas(types_mapper=pd.ArrowDtype)
    if "started" in columns:
        frame = frame.sort_values("started", kind="stable", ignore_index=True)
        if since is not None:
            frame = frame[frame["started"] >= pd.Timestamp(since)].reset_index(drop=True)
    return Archive(url=url, frame=frame, files=len(tables), left=tuple(left))


def _open(url: str) -> tuple[Any, str]:
    """Return the file system and the folder that a URL names."""
    try:
        system, folder = fsspec.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise UsageError(
            f"Cannot use history: url={url!r} names no file system that can be used ({_short(error)}). "
            "Name a folder, or install what its protocol needs."
        ) from error
    return system, str(folder)


def _new_name(run: Run) -> str:
    """Return a name by time and commit that no other writer has: 64 random bits are in it."""
    started = datetime.fromisoformat(run.header.started).astimezone(UTC)
    commit = re.sub(r"[^0-9a-z]", "", (run.header.environment.git_commit or "nocommit").partition("+")[0])[:12]
    return f"{started:%Y%m%dT%H%M%SZ}-{commit or 'nocommit'}-{secrets.token_hex(8)}.parquet"


def _content(run: Run) -> bytes:
    lines = "\n".join(encode(part) for part in (run.header, *run.records))
    mark = {"version": VERSION, "digest": hashlib.sha256(lines.encode()).hexdigest()}
    schema = SCHEMA.with_metadata({KEY: json.dumps(mark).encode()})
    table = pa.Table.from_pandas(history_frame(run), schema=SCHEMA, preserve_index=False).cast(schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _put(system: Any, path: str, content: bytes) -> None:
    """Let a file appear whole or not at all."""
    folder, _, name = path.rpartition("/")
    if _is(system, {"file", "local"}):
        Path(folder).mkdir(parents=True, exist_ok=True)
        replace(Path(path), content)
    elif _is(system, OBJECT_STORES):
        system.pipe_file(path, content)
    else:
        system.makedirs(folder, exist_ok=True)
        unfinished = f"{folder}/.{name}.part"
        system.pipe_file(unfinished, content)
        system.mv(unfinished, path)


def _is(system: Any, protocols: frozenset[str] | set[str]) -> bool:
    own = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    return not protocols.isdisjoint(own)


def _contents(
    system: Any, folder: str, url: str, since: datetime | None, left: list[Left]
) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of every history file; what is not one is named in `left`."""
    paths = []
    for path in sorted(_listed(system, folder, url)):
        name = path.rpartition("/")[2]
        own = _NAME.fullmatch(name)
        if own is None:
            if _UNFINISHED.fullmatch(name):
                left.append(Left(name=name, reason="is unfinished: a writer is at work, or died"))
            elif name.endswith(".parquet"):
                left.append(Left(name=name, reason="is not named as history files are"))
        elif since is None or datetime.strptime(own["time"], "%Y%m%dT%H%M%S%z") >= since.replace(microsecond=0):
            paths.append(path)
    for start in range(0, len(paths), AT_ONCE):
        batch = paths[start : start + AT_ONCE]
        # Whole ranges: unlike `cat`, this takes paths as they are, also where they hold what a pattern would.
        for path, content in zip(batch, system.cat_ranges(batch, None, None, on_error="return"), strict=True):
            if isinstance(content, bytes):
                yield path, content
            else:
                left.append(Left(name=path.rpartition("/")[2], reason=f"cannot be read ({_short(content)})"))


def _listed(system: Any, folder: str, url: str) -> list[str]:
    """Return the files of a folder, freshly listed."""
    system.invalidate_cache()
    try:
        return [str(entry["name"]) for entry in system.ls(folder, detail=True) if entry["type"] == "file"]
    except FileNotFoundError as error:
        raise UsageError(
            f"Cannot read history: url={url!r} does not exist. Record a run with: harness run --history {url}"
        ) from error
    except Exception as error:  # every file system has exceptions of its own
        raise UsageError(
            f"Cannot read history: url={url!r} cannot be listed ({_short(error)}). Name a folder that can be."
        ) from error


def _table(content: bytes, schema: pa.Schema) -> tuple[pa.Table, str]:
    """Return a file's rows in today's columns, and the digest of its run.

    Raises:
        ValueError: it is of another origin, or newer than this program.
    """
    file = pq.ParquetFile(pa.BufferReader(content))
    mark = json.loads((file.schema_arrow.metadata or {}).get(KEY, b"null"))
    if not isinstance(mark, dict) or not isinstance(mark.get("version"), int):
        raise ValueError("is Parquet, but not of this program")
    if mark["version"] > VERSION:
        raise ValueError(f"is of version {mark['version']}, newer than this program's {VERSION}: update harness")
    known = set(file.schema_arrow.names)
    table = file.read(columns=[name for name in schema.names if name in known])
    for name in schema.names:
        if name not in known:
            table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
    return table.select(schema.names).cast(schema), str(mark.get("digest"))


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:199]}…"
