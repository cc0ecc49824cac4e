"""The reference of case files follows the code, and the guide's case files are real."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from harness.case.load import load_cases
from harness.case.schema import CaseModel
from harness.case.trust import Trust
from harness.records import Outcome
from harness.verify.check import verify_case

ROOT = Path(__file__).resolve().parent.parent
FENCED = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    if spec is None or spec.loader is None:
        pytest.fail("docs/generate.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_is_up_to_date() -> None:
    """docs/cases.md must be what the generator writes from today's schema and function table."""
    assert (ROOT / "docs" / "cases.md").read_text(encoding="utf-8") == _generator().reference()


def test_reference_has_every_key() -> None:
    """Every key of a case must have a row that says what it means."""
    rows = [row for row in _generator().reference().splitlines() if len(row) > 40]
    missing = [key for key in CaseModel.model_fields if not any(row.startswith(f"| `{key}` |") for row in rows)]
    assert not missing


def test_check_notices_an_outdated_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--check` must fail when the written reference differs from the generated one."""
    generator = _generator()
    outdated = tmp_path / "cases.md"
    outdated.write_text("# Case files\n", encoding="utf-8")
    monkeypatch.setattr(generator, "TARGET", outdated)
    assert generator.main(["--check"]) == 1


def test_check_accepts_what_was_just_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the generator has written must pass its own check."""
    generator = _generator()
    monkeypatch.setattr(generator, "TARGET", tmp_path / "cases.md")
    assert (generator.main([]), generator.main(["--check"])) == (0, 0)


def test_cases_of_the_guide_load(tmp_path: Path) -> None:
    """Every case file printed in the guide must load as it stands."""
    blocks = FENCED.findall((ROOT / "docs" / "guide.md").read_text(encoding="utf-8"))
    whole = [block for block in blocks if block.startswith("case:")]
    for index, block in enumerate(whole):
        folder = tmp_path / str(index)
        folder.mkdir()
        (folder / "guide.yaml").write_text(block, encoding="utf-8")
        assert load_cases([folder])
    assert whole


# PyTorch's own warning, given when forward mode is first used.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
@pytest.mark.parametrize(("term", "outcome"), [("- sin(2*t))", Outcome.FAIL), ("- rate*sin(2*t))", Outcome.PASS)])
def test_first_case_of_the_guide_ends_as_it_says(tmp_path: Path, term: str, outcome: Outcome) -> None:
    """The guide's first case must be red as printed, and green with the correction the guide gives."""
    blocks = FENCED.findall((ROOT / "docs" / "guide.md").read_text(encoding="utf-8"))
    text = next(block for block in blocks if "damped-wave" in block)
    (tmp_path / "first.yaml").write_text(text.replace("- sin(2*t))", term), encoding="utf-8")
    (case,) = load_cases([tmp_path])
    record = verify_case(case, trust=Trust(), seed=0)
    assert record.outcome is outcome, record.message
