"""Where a run happens is recorded without guessing."""

import subprocess

import pytest
import torch

from harness.run.environment import environment, git_commit, version_of


@pytest.fixture
def repository(tmp_path):
    """A git repository with one committed file."""

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "a.yaml").write_text("a")
    git("add", "a.yaml")
    git("commit", "-qm", "a")
    return tmp_path


def test_the_machine_is_described():
    """Processor, cores and memory are known here."""
    made = environment()
    assert made.cpu
    assert made.cpu_count > 0
    assert made.memory_bytes > 2**20


def test_versions_are_those_installed():
    """The torch on record is the one imported."""
    assert environment().torch == torch.__version__


def test_cuda_or_the_reason_it_is_missing():
    """Exactly one of the two is known."""
    made = environment()
    assert (made.cuda is None) != (made.cuda_missing is None)


def test_a_package_that_is_not_there_has_no_version():
    """Absence is None, not a made-up version."""
    assert version_of("no-such-package-anywhere") is None


def test_the_commit_of_a_case_file(repository):
    """The cases' repository names the commit."""
    commit = git_commit(repository / "a.yaml")
    assert len(commit) == 40


def test_changed_files_are_marked(repository):
    """A commit that is not what ran says so."""
    (repository / "a.yaml").write_text("b")
    assert git_commit(repository).endswith("+changes")


def test_outside_a_repository_there_is_no_commit(tmp_path, monkeypatch):
    """No repository, no commit."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit(tmp_path) is None
