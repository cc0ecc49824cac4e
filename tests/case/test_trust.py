"""Trust: read from the project's configuration and options, nothing by default, and links are followed."""

from __future__ import annotations

import pytest

from harness.case.trust import Trust
from harness.errors import UntrustedError, UsageError


def _project(folder, trust: str):
    (folder / "pyproject.toml").write_text(f"[tool.harness]\ntrust = {trust}\n")
    (folder / "cases" / "deep").mkdir(parents=True)
    (folder / "other").mkdir()
    return folder


def test_configuration_is_read_from_the_nearest_project(tmp_path):
    """Folders are relative to the pyproject.toml; names that can be packages are packages too."""
    trust = Trust.from_config(_project(tmp_path, '["cases", "torch.nn", "./other"]') / "cases" / "deep")
    assert tmp_path.resolve() / "cases" in trust.folders
    assert tmp_path.resolve() / "other" in trust.folders
    assert trust.packages == ("cases", "torch.nn")


def test_options_add_to_the_configuration(tmp_path):
    """What an option trusts is relative to where the command runs."""
    trust = Trust.from_config(_project(tmp_path, "[]") / "cases", ["deep", "numpy"])
    assert trust.folders == (tmp_path.resolve() / "cases" / "deep",)
    assert trust.packages == ("deep", "numpy")


@pytest.mark.parametrize(("module", "trusted"), [("a.b", True), ("a.b.c", True), ("a", False), ("a.bc", False)])
def test_a_package_covers_its_modules_only(module, trusted):
    """Trusting a.b covers a.b and what is inside it."""
    trust = Trust(packages=("a.b",))
    if trusted:
        trust.check_package(module, who="case")
    else:
        with pytest.raises(UntrustedError, match="--trust a"):
            trust.check_package(module, who="case")


def test_a_folder_covers_what_is_inside(tmp_path):
    """A file inside a trusted folder may run; one beside it, or reached through .. , may not."""
    trust = Trust(folders=(tmp_path / "in",))
    trust.check_file(tmp_path / "in" / "deep" / "a.py", who="case")
    for outside in ("a.py", "in/../a.py", "inside/a.py"):
        with pytest.raises(UntrustedError, match="lies in no trusted folder"):
            trust.check_file(tmp_path / outside, who="case")


@pytest.mark.parametrize("entry", ["./nothere", "nothere/x", "..nothere", "a b", "", "file.py", "x\0y", "~/x"])
def test_an_option_that_names_nothing_is_misuse(tmp_path, entry):
    """An entry that is neither a folder that exists nor the name of a package is refused, saying where it stands."""
    (tmp_path / "file.py").write_text("")
    with pytest.raises(UsageError, match=r"Cannot trust .*--trust"):
        Trust.from_config(tmp_path, [entry])


def test_a_configured_folder_that_is_gone_names_the_file(tmp_path):
    """A wrong entry of the configuration is refused with the file that has it."""
    with pytest.raises(UsageError, match=r"Cannot trust '\./nothere' .*pyproject\.toml"):
        Trust.from_config(_project(tmp_path, '["cases", "./nothere"]'))


def test_configuration_that_is_no_table_is_misuse(tmp_path):
    """A pyproject.toml whose `tool` is no table is a clear error."""
    (tmp_path / "pyproject.toml").write_text("tool = 3\n")
    with pytest.raises(UsageError, match="no table"):
        Trust.from_config(tmp_path)


@pytest.mark.parametrize("trust", ['"cases"', "[1]", "[", "{}"])
def test_wrong_configuration_is_misuse(tmp_path, trust):
    """A trust setting that is no list of texts is a clear error."""
    with pytest.raises(UsageError, match="Cannot read trust"):
        Trust.from_config(_project(tmp_path, trust))


def test_nothing_is_trusted_by_default():
    """Without a setting nothing runs."""
    with pytest.raises(UntrustedError):
        Trust().check_package("os", who="case")
