"""The two trees: what a base may be, where things lie in it, and that nothing of it is left behind."""

import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.gate import git
from harness.gate.trees import PREFIX, place_in, project_root, trees

IDENTITY = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """An empty folder for temporary files, outside of the repository."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with two commits: "first" and "second" in case.txt; a hook that must not run."""
    for name, value in IDENTITY.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "repository"
    folder.mkdir()
    git.git(folder, "init", "--quiet", "--initial-branch=main")
    for text in ("first", "second"):
        (folder / "case.txt").write_text(text)
        git.git(folder, "add", ".")
        git.git(folder, "commit", "--quiet", "--message", text)
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'hook-ran'}\n")
    hook.chmod(0o755)
    return folder


def books(repository):
    """How many worktrees git knows of, the main one included."""
    return len(git.worktrees(repository))


def test_a_ref_is_a_worktree_that_is_gone_afterwards(repository, temporary, tmp_path):
    """The base is there while the block runs, the head is the working tree, and nothing is left; no hook ran."""
    (repository / "case.txt").write_text("uncommitted")
    with trees("HEAD~1", start=repository) as both:
        base, head = Path(both.base.root), Path(both.head.root)
        assert ((base / "case.txt").read_text(), (head / "case.txt").read_text()) == ("first", "uncommitted")
        assert not base.is_relative_to(repository)
        assert ("HEAD~1 (" in both.base.shown, both.head.shown.endswith("+changes)")) == (True, True)
    assert (list(temporary.iterdir()), books(repository), (tmp_path / "hook-ran").exists()) == ([], 1, False)
    assert git.git(repository, "status", "--porcelain") == " M case.txt"


@pytest.mark.parametrize("ends", [KeyboardInterrupt, RuntimeError])
def test_a_worktree_goes_however_the_block_ends(repository, temporary, ends):
    """An interrupt or an exception leaves neither a folder nor an entry in git's books."""
    with pytest.raises(ends), trees("HEAD~1", start=repository):
        raise ends
    assert (list(temporary.iterdir()), books(repository)) == ([], 1)


def test_sigterm_removes_the_worktree(repository, tmp_path):
    """A process that holds a worktree and is told to stop removes it first."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom harness.gate.trees import trees\n"
        "from harness.run.run import terminable\n"
        "with terminable(), trees('HEAD~1', start=Path(sys.argv[1])) as both:\n"
        "    print(both.base.root, flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(repository)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        folder = Path(process.stdout.readline().strip())
        assert (folder / "case.txt").exists()
        process.send_signal(signal.SIGTERM)
        process.wait(30)
    assert (folder.parent.exists(), books(repository)) == (False, 1)


def test_what_a_killed_gate_left_is_cleared_away(repository, temporary):
    """A worktree whose process is gone is removed by the next gate; one whose process lives is not touched."""
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    dead, alive = (temporary / f"{PREFIX}{number}-x" for number in (ended.pid, os.getpid()))
    for folder in (dead, alive):
        git.add_worktree(repository, folder / "base", "HEAD")
    with trees("HEAD~1", start=repository):
        pass
    assert (dead.exists(), alive.exists(), books(repository)) == (False, True, 2)


def test_a_folder_is_taken_as_it_is(tmp_path):
    """Outside of any repository a base is a folder, and stays."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with trees("../old", start=tmp_path / "new") as both:
        assert (both.base.root, both.head.root) == (str(tmp_path / "old"), str(tmp_path / "new"))
    assert (tmp_path / "old").is_dir()


def test_a_ref_comes_before_a_folder_of_its_name(repository, temporary):
    """A name that is both is the ref; ./name is the folder."""
    (repository / "main").mkdir()
    with trees("main", start=repository) as both:
        assert Path(both.base.root).name == "base"
    with trees("./main", start=repository) as both:
        assert both.base.root == str(repository / "main")


def test_a_project_below_the_top_is_found_on_the_base(repository, temporary):
    """The root is the nearest folder upwards with a pyproject.toml, on the base as on the head."""
    project = repository / "python"
    (project / "cases").mkdir(parents=True)
    (project / "pyproject.toml").write_text("")
    (project / "cases" / "one.yaml").write_text("")
    git.git(repository, "add", ".")
    git.git(repository, "commit", "--quiet", "--message", "project")
    with trees("HEAD", start=project / "cases", trust=[".", "numpy"]) as both:
        assert both.head.root == str(project)
        assert both.base.root.endswith("/base/python")
        assert both.base.trust == both.head.trust == ("cases", "numpy")
    with pytest.raises(UsageError, match=r"has no folder 'python'.*Name a later base"), trees("HEAD~1", start=project):
        pass


def test_a_folder_that_is_trusted_and_new_is_not_asked_of_the_base(repository, temporary):
    """Trusting a folder that the base has not yet is no error there."""
    (repository / "fresh").mkdir()
    with trees("HEAD", start=repository, trust=["fresh"]) as both:
        assert (both.base.trust, both.head.trust) == ((), ("fresh",))


def test_preparation_runs_in_the_worktree(repository, temporary):
    """What it makes is on the base alone; what it says is shown when it fails, and the worktree is gone then."""
    with trees("HEAD", start=repository, prepare="cp case.txt built.txt") as both:
        assert (Path(both.base.root) / "built.txt").read_text() == "second"
    assert not (repository / "built.txt").exists()
    with (
        pytest.raises(UsageError, match=r"(?s)ended with 3 .*no compiler"),
        trees("HEAD", start=repository, prepare="echo no compiler; exit 3"),
    ):
        pass
    assert (list(temporary.iterdir()), books(repository)) == ([], 1)


def test_preparing_a_folder_is_refused(tmp_path):
    """A folder is the user's own: nothing is run in it."""
    (tmp_path / "old").mkdir()
    with pytest.raises(UsageError, match="leaves as it is"), trees("old", start=tmp_path, prepare="true"):
        pass


def test_an_interrupt_ends_all_that_a_preparation_started(tmp_path):
    """What the shell runs in the background ends with it: the pipe that it alone held open is closed."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = (
        "import sys\nfrom pathlib import Path\nfrom harness.gate.preparation import run_preparation\n"
        "from harness.run.run import terminable\n"
        "with terminable():\n    run_preparation('(echo up; sleep 60; true) > pipe & wait', Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process, pipe.open("rb", buffering=0) as reads:
        assert reads.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        asked = select.poll()
        asked.register(reads, select.POLLHUP)
        assert [event for _, event in asked.poll(20_000)] == [select.POLLHUP]


@pytest.mark.parametrize(
    ("base", "said"), [("", "names nothing"), (" ", "names nothing"), (".", "itself"), ("cases/..", "itself")]
)
def test_a_base_that_is_the_head_is_refused(repository, temporary, base, said):
    """An empty variable in CI, or the project's own folder, would be found equal whatever was changed."""
    (repository / "cases").mkdir()
    with pytest.raises(UsageError, match=said), trees(base, start=repository):
        pass


def test_no_such_base(repository, tmp_path):
    """What is neither a commit nor a folder says what to do: fetch a branch, or come into the repository."""
    with (
        pytest.raises(UsageError, match=r"neither a commit .* nor a folder.*origin/NAME"),
        trees("v9", start=repository),
    ):
        pass
    with pytest.raises(UsageError, match="lies in no git repository"), trees("HEAD~1", start=tmp_path):
        pass


def test_a_shallow_clone_says_fetch_depth(repository, tmp_path):
    """In CI's clones of depth 1 a missing base is explained by that, with what to write."""
    clone = tmp_path / "clone"
    git.git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", str(clone))
    with pytest.raises(UsageError, match="fetch-depth: 0"), trees("HEAD~1", start=clone):
        pass


def test_no_such_interpreter(repository, temporary):
    """An interpreter that is not there is named before anything is checked out."""
    said = "base-python='nowhere/python'"
    with pytest.raises(UsageError, match=said), trees("HEAD", start=repository, base_python="nowhere/python"):
        pass
    assert list(temporary.iterdir()) == []


def test_temporary_files_inside_the_repository_are_refused(repository, monkeypatch):
    """A worktree inside the repository would be searched for cases: better to say so."""
    (repository / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(repository / "tmp"))
    with pytest.raises(UsageError, match="TMPDIR"), trees("HEAD", start=repository):
        pass


def test_places_are_relative_to_the_root(tmp_path):
    """A path is mapped by its place, whatever folder it was named from; one outside the root is refused."""
    (tmp_path / "cases").mkdir()
    assert place_in(tmp_path, "../cases/a.yaml", tmp_path / "cases") == "cases/a.yaml"
    assert place_in(tmp_path, tmp_path / "cases", tmp_path) == "cases"
    with pytest.raises(UsageError, match="outside of"):
        place_in(tmp_path / "cases", "../a.yaml", tmp_path / "cases")


def test_the_root_without_a_pyproject(tmp_path):
    """Without a pyproject.toml it is the repository's top, or the folder itself outside of one."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    assert (project_root(folder, tmp_path), project_root(folder, None)) == (tmp_path, folder)
