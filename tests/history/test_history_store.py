"""Where history lies: whole files or none, nothing rewritten, and what cannot be read is named."""

import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from harness.errors import UsageError
from harness.history.frame import SCHEMA, VERSION, history_frame
from harness.history.store import KEY, append, read


class Remote(LocalFileSystem):
    """A file system on which a file appears while it is still being written, as over SSH."""

    protocol = "remote"
    local_file = False
    steps: list = []  # noqa: RUF012  what was done, in order
    fails = False

    def pipe_file(self, path, value, mode="overwrite", **rest):
        Remote.steps.append(("write", path.rpartition("/")[2]))
        Path(path).write_bytes(value[: len(value) // 2] if Remote.fails else value)
        if Remote.fails:
            raise OSError("connection lost")

    def mv(self, path1, path2, **rest):
        Remote.steps.append(("move", path2.rpartition("/")[2]))
        Path(path1).rename(path2)


@pytest.fixture
def remote(tmp_path):
    """A history on such a file system, with its folder."""
    fsspec.register_implementation("remote", Remote, clobber=True)
    Remote.steps, Remote.fails = [], False
    return f"remote://{tmp_path}/history", tmp_path / "history"


def test_a_frame_has_every_kind_of_row(make_run):
    """Verdicts with digits and power, descents with steps, timings with samples and counts, and what was counted."""
    frame = history_frame(make_run())
    rows = {kind: group.iloc[0] for kind, group in frame.groupby("kind", sort=False)}
    assert set(rows) == {"verification", "accuracy", "descent", "timing", "count"}
    assert (rows["verification"].faults, rows["verification"].faults_caught, rows["accuracy"].digits) == (20, 19, 12.0)
    assert (rows["descent"].steps_to_tolerance, rows["descent"].variant) == (31, "SGD(lr=0.1)")
    timed = rows["timing"]
    assert (timed.median_s, timed.sizes, len(timed.samples)) == (1e-5, "n=100", 5)
    assert (timed.operators, timed.flops, timed.saved_bytes) == (4, 200, 800)
    passed = frame[(frame["kind"] == "count") & (frame["outcome"] == "pass")]
    assert dict(zip(passed["what"], passed["value"], strict=True)) == {"cases": 1, "findings": 1, "timings": 1}
    assert (frame["seed"] == 3).all() and not frame["changed"].any()


def test_a_commit_with_changes_is_told_apart(make_run):
    """The commit is stored bare, and whether files differed from it beside it."""
    frame = history_frame(make_run(commit="abc123+changes"))
    assert (set(frame["commit"]), frame["changed"].all()) == ({"abc123"}, True)


@pytest.mark.parametrize("where", ["folder", "memory", "remote"])
def test_what_is_written_is_read(make_run, where, tmp_path, memory_url, remote):
    """Every kind of file system gives back the rows of all runs, in the order of time, and makes its folder."""
    url = {"folder": str(tmp_path / "a" / "b"), "memory": memory_url, "remote": remote[0]}[where]
    later, earlier = make_run(5), make_run(2)
    paths = {append(run, url) for run in (later, earlier)}
    archive = read(url)
    assert (len(paths), archive.files, archive.left) == (2, 2, ())
    assert list(archive.frame["run"].unique()) == ["run-2", "run-5"]
    assert archive.frame.iloc[: len(archive.frame) // 2].equals(history_frame(earlier))


def test_names_say_when_and_which_commit(make_run, tmp_path):
    """A person finds a run's file by its name, and no two writers share one."""
    names = {Path(append(make_run(1, commit="feedbeef" * 5), str(tmp_path))).name for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("20260102T000000Z-feedbeeffeed-") for name in names)


def test_many_writers_at_once_lose_nothing(make_run, tmp_path):
    """Forty writes from eight threads leave forty whole files, whatever a reader meets meanwhile."""
    url = str(tmp_path / "history")
    append(make_run(0), url)
    with ThreadPoolExecutor(8) as pool:
        writes = [pool.submit(append, make_run(day), url) for day in range(1, 41)]
        while not all(write.done() for write in writes):
            assert all("unfinished" in left.reason for left in read(url, columns=("run", "started")).left)
    assert (len({write.result() for write in writes}), read(url).files, read(url).left) == (40, 41, ())


def test_a_file_appears_only_when_it_is_whole(make_run, remote):
    """Where writing is seen, a file gets its name after its last byte."""
    url, _ = remote
    append(make_run(), url)
    (first, unfinished), (second, name) = Remote.steps
    assert (first, second, unfinished) == ("write", "move", f".{name}.part")


def test_a_write_that_breaks_off_adds_no_run(make_run, remote):
    """A lost connection is a clear error; what it leaves is named by readers, and is no run."""
    url, _ = remote
    append(make_run(0), url)
    Remote.fails = True
    with pytest.raises(UsageError, match=r"Cannot record history: .*connection lost"):
        append(make_run(1), url)
    archive = read(url)
    assert (archive.files, [left.reason for left in archive.left]) == (
        1,
        ["is unfinished: a writer is at work, or died"],
    )


def test_a_full_disk_leaves_nothing(make_run, tmp_path, monkeypatch):
    """A write that fails on a local disk leaves no file at all."""

    def full(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="no space left"):
        append(make_run(), str(tmp_path / "history"))
    assert list((tmp_path / "history").iterdir()) == []


def test_what_is_not_ours_is_named_and_left_out(make_run, tmp_path):
    """Torn, foreign and newer files, and one run twice, are each named with their reason; the rest is read."""
    good = Path(append(make_run(0), str(tmp_path)))
    own = good.name[:-24]
    (tmp_path / f"{own}{'1' * 16}.parquet").write_bytes(good.read_bytes()[:500])
    (tmp_path / f"{own}{'2' * 16}.parquet").write_bytes(b"")
    pq.write_table(pa.table({"a": [1]}), tmp_path / f"{own}{'3' * 16}.parquet")
    newer = SCHEMA.empty_table().replace_schema_metadata({KEY: json.dumps({"version": VERSION + 1}).encode()})
    pq.write_table(newer, tmp_path / f"{own}{'4' * 16}.parquet")
    (tmp_path / "results.parquet").write_bytes(b"something else")
    (tmp_path / "README.md").write_text("not data, and nobody's mistake")
    append(make_run(0), str(tmp_path))
    archive = read(str(tmp_path))
    reasons = {left.name.removeprefix(own)[:4]: left.reason for left in archive.left if left.name.startswith(own)}
    assert archive.files == 1
    assert "of this program" in reasons["3333"] and "update harness" in reasons["4444"]
    assert {"1111", "2222"} < set(reasons)
    assert sorted("same run" in reason for reason in reasons.values()) == [False] * 4 + [True]
    assert {left.name for left in archive.left} - {f"{own}{d * 16}.parquet" for d in "1234"} > {"results.parquet"}
    assert all(left.name != "README.md" for left in archive.left)


def test_files_of_older_versions_are_read(make_run, tmp_path):
    """A column that an older version did not have is missing in its rows, and the others are there."""
    new, old = (Path(append(make_run(day), str(tmp_path))) for day in (1, 0))
    table = pq.read_table(io.BytesIO(old.read_bytes()))
    old.unlink()
    pq.write_table(table.drop_columns(["flops"]), tmp_path / old.name)
    frame = read(str(tmp_path)).frame
    flops = frame[frame["kind"] == "timing"].set_index("run")["flops"]
    assert (flops.isna().to_dict(), new.exists()) == ({"run-0": True, "run-1": False}, True)


def test_older_runs_are_left_out_on_demand(make_run, memory_url):
    """`since` takes runs from that moment on."""
    for day in range(4):
        append(make_run(day), memory_url)
    since = make_run(2).header.started
    frame = read(memory_url, since=pa.scalar(since).cast(pa.timestamp("us", "UTC")).as_py() - timedelta(0)).frame
    assert list(frame["run"].unique()) == ["run-2", "run-3"]


@pytest.mark.parametrize("url", ["nowhere/at/all", "memory://empty-and-not-there"])
def test_no_such_history_is_misuse(url):
    """A folder that is not there is an error that says how to make one."""
    with pytest.raises(UsageError, match="does not exist"):
        read(url)


def test_an_unknown_protocol_is_misuse(make_run):
    """So is a URL of no file system."""
    with pytest.raises(UsageError, match="no file system"):
        append(make_run(), "carrier-pigeon://loft/7")
