"""A journal reads back as what was written, whatever became of the process that wrote it."""

import pytest

from harness.errors import UsageError
from harness.records import RunFooter
from harness.run.journal import FILE_NAME, Journal, encode, read_run

FOOTER = RunFooter(finished="2026-01-01T00:01:00+00:00", duration_s=60.0, interrupted=False, exit_code=0)


@pytest.fixture
def written(tmp_path, header, record):
    """The directory of a whole run: header, one record, footer."""
    with Journal(tmp_path / FILE_NAME) as journal:
        for line in (header, record(), FOOTER):
            journal.write(line)
    return tmp_path


def test_reads_back_what_was_written(written, header, record):
    """Header, records and footer come back in their places."""
    run = read_run(written)
    assert (run.header, run.records, run.footer) == (header, (record(),), FOOTER)


def test_reads_the_file_itself(written):
    """The journal's own path names the run as well as its directory does."""
    assert read_run(written / FILE_NAME) == read_run(written)


def test_each_record_is_on_disk_at_once(tmp_path, header, record):
    """A reader sees a record while the journal is still open."""
    with Journal(tmp_path / FILE_NAME) as journal:
        journal.write(header)
        journal.write(record())
        assert len(read_run(tmp_path).records) == 1


def test_makes_its_folder(tmp_path):
    """A run directory need not exist beforehand."""
    Journal(tmp_path / "a" / "b" / FILE_NAME).close()
    assert (tmp_path / "a" / "b" / FILE_NAME).exists()


def test_every_torn_end_is_survived(written, header):
    """Wherever after its first line a journal is cut, the finished lines are kept and the rest is dropped."""
    path = written / FILE_NAME
    content = path.read_bytes()
    first = content.index(b"\n") + 1
    for cut in range(first, len(content), 7):
        path.write_bytes(content[:cut])
        assert len(read_run(written).records) <= content[:cut].count(b"\n")


def test_a_torn_record_counts_as_not_run(written):
    """A record cut in the middle is gone, and its job shows as not run."""
    path = written / FILE_NAME
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) - len(encode(FOOTER)) - 20])
    run = read_run(written)
    assert (run.not_run, run.footer) == (("verify a",), None)


def test_a_whole_last_line_needs_no_line_feed(written):
    """An editor that drops the last line feed loses nothing."""
    path = written / FILE_NAME
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert read_run(written).footer == FOOTER


def test_damage_in_the_middle_is_named(written):
    """A broken line that others follow is no torn end: the message has its line."""
    path = written / FILE_NAME
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1][:40]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UsageError, match=r"results\.jsonl:2: .*damaged"):
        read_run(written)


def test_another_version_is_refused(written):
    """Records of another version are not guessed at."""
    path = written / FILE_NAME
    path.write_text(path.read_text().replace('"version":1', '"version":99', 1))
    with pytest.raises(UsageError, match="version=99"):
        read_run(written)


@pytest.mark.parametrize("content", ["", "\n", "hello\n", "[1]\n", '{"kind":"end"}\n'])
def test_another_file_is_refused(tmp_path, content):
    """A file that is no journal is said to be none."""
    (tmp_path / FILE_NAME).write_text(content)
    with pytest.raises(UsageError, match="no run header"):
        read_run(tmp_path)


def test_a_missing_directory_is_named(tmp_path):
    """The message has the path that does not exist."""
    with pytest.raises(UsageError, match=r"elsewhere.*does not exist"):
        read_run(tmp_path / "elsewhere")
