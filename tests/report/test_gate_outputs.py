"""What a gate's result looks like in each of its files: worst first, nothing lost in silence, small enough for CI."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from harness.bench.comparison import Decision, Judgement, Margin, PairSamples
from harness.bench.statistics import Interval
from harness.errors import UsageError
from harness.gate.counts import count_changes
from harness.gate.gate import exit_code
from harness.gate.records import Compared, GateResult, Phase, Side, Untimed, VerificationChange, Workload, to_json
from harness.records import Counts, Environment, ExitCode
from harness.report import gate_words as words
from harness.report.gate_html import render_gate_html
from harness.report.gate_junit import render_gate_junit
from harness.report.gate_markdown import render_gate_markdown
from harness.report.write_gate import GATE_FILES, add_step_summary, read_gate, write_gate
from harness.terminal.gate import print_gate

HOSTILE = '<script>alert("|`*")</script>\x00\ud800'


def row(case, decision, point=1.0, *, message="so", base=None, head=None):
    """A timed workload."""
    ratio = Interval(point=point, low=point - 0.01, high=point + 0.01, confidence=0.9, samples=5)
    judged = Judgement(decision=decision, ratio=ratio, mde=0.041, p=2e-5, reason="")
    samples = PairSamples(base=(1e-3,) * 9, head=(1e-3 * point,) * 9, steady=True)
    return Compared(
        workload=Workload(case=case, path=f"cases/{case}.yaml", what="backward", sizes=(("n", 1000),)),
        judgement=judged, message=message, screened=samples, confirmed=(samples,) * 5, base_counts=base,
        head_counts=head,
    )  # fmt: skip


def result(**changes):
    """A gate's result, with one row of each decision."""
    rows = (
        row("same", Decision.SAME), row("fast", Decision.FASTER, 0.8), row("unsure", Decision.INCONCLUSIVE, 1.03),
        row("slow", Decision.SLOWER, 1.4), row("slowest", Decision.SLOWER, 2.5),
    )  # fmt: skip
    worse = VerificationChange(case="wrong", direction="worse", before="pass", after="fail", message="It is off.")
    better = VerificationChange(case="mended", direction="better", before="fail", after="pass", message="It passes.")
    environment = Environment(
        python="CPython 3.12", platform="Linux", cpu="some", cpu_count=2, memory_bytes=None, torch="2", torch_threads=1,
        numpy="2", cuda=None, cuda_missing="none here", harness="0", git_commit=None,
    )  # fmt: skip
    values = {
        "command": "harness gate --base main", "started": "2026-01-31T23:59:59+00:00",
        "base": Side(name="base", root="/tmp/base", shown="main (0123abcd)"),
        "head": Side(name="head", root="/project", shown="working tree (89abcdef)"),
        "margin": Margin(), "threads": 1, "seed": 0, "environment": environment, "compared": rows,
        "untimed": (Untimed(case="new", reason="it is new"),), "changes": (better, worse),
        "verified": ("same", "fast", "unsure", "slow", "slowest", "wrong", "mended"),
        "phases": (Phase(name="verification", duration_s=21.0), Phase(name="timing", duration_s=35.0)), "exit_code": 1,
    }  # fmt: skip
    return GateResult(**{**values, **changes})


CALM = {"changes": (), "untimed": ()}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ExitCode.FAILED),
        ({**CALM, "compared": (row("slow", Decision.SLOWER, 1.4),)}, ExitCode.FAILED),
        ({"compared": (row("same", Decision.SAME),)}, ExitCode.FAILED),
        ({**CALM, "compared": (row("same", Decision.SAME), row("unsure", Decision.INCONCLUSIVE))}, ExitCode.PASSED),
        ({**CALM, "compared": (row("fast", Decision.FASTER, 0.8),)}, ExitCode.PASSED),
        ({**CALM, "compared": (row("unsure", Decision.INCONCLUSIVE, 1.5),)}, ExitCode.UNDECIDED),
        ({**CALM, "compared": ()}, ExitCode.PASSED),
        ({"changes": (), "compared": ()}, ExitCode.UNDECIDED),
        ({**CALM, "compared": (), "verified": ()}, ExitCode.UNDECIDED),
    ],
)
def test_exit_codes(changes, expected):
    """Only a confirmed slow-down or a worse verification is 1; 3 means that nothing asked for could be measured."""
    assert exit_code(result(**changes)) == expected


def test_counts_fail_only_where_asked():
    """A count that rose is told, and fails with counts="fail"; one that fell, or rose where it is not gated, never."""
    base, head = Counts(operators=(("mul", 3), ("sum", 1)), flops=10), Counts(operators=(("mul", 5),), flops=8)
    rows = (row("same", Decision.SAME, base=base, head=head),)
    operators, flops = count_changes(rows[0])
    assert (operators.base, operators.head, operators.detail, operators.risen) == (4, 5, "mul +2, sum -1", True)
    assert (flops.name, flops.risen) == ("FLOPs", False)
    assert exit_code(result(**CALM, compared=rows)) == ExitCode.PASSED
    assert exit_code(result(**CALM, compared=rows, counts="fail")) == ExitCode.FAILED
    moved = (row("same", Decision.SAME, base=Counts(bytes_moved=1), head=Counts(bytes_moved=2)),)
    assert exit_code(result(**CALM, compared=moved, counts="fail")) == ExitCode.PASSED
    assert count_changes(row("same", Decision.SAME, base=base)) == ()


def test_the_summary_has_the_worst_first():
    """Verification that got worse, then what is slower by how much, then what is undecided; what is the same last."""
    text = render_gate_markdown(result())
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections == [
        "Verification got worse (1)", "Slower (2)", "Inconclusive (1)", "Not timed (1)", "Verification changed (1)",
        "Faster (1)", "Same (1)", "Environment",
    ]  # fmt: skip
    assert text.startswith("# Gate: 2 workloads slower, 1 verification worse\n")
    assert text.index("slowest backward n=1000") < text.index("slow backward n=1000")
    assert "| **+150.0 %** | +149.0 % to +151.0 % | 4.1 % | 2e-5 | 1 ms |" in text


@pytest.mark.parametrize("number", [500, 20_000])
def test_the_summary_stays_below_a_mebibyte(number):
    """Whatever the number of cases and however odd their words, the size is bounded and the rest is counted."""
    words_ = ("𝛁<&`|" * 400, "é" * 4000)
    rows = tuple(row(f"case-{i}-{words_[0]}", Decision.SLOWER, 1.4 + i, message=words_[1]) for i in range(number))
    unsure = tuple(row(f"unsure-{i}-{words_[0]}", Decision.INCONCLUSIVE, message=words_[0]) for i in range(number))
    changes = tuple(
        VerificationChange(case=f"{i}{words_[0]}", direction="worse", before="pass", after="fail", message=words_[0])
        for i in range(number)
    )
    text = render_gate_markdown(result(compared=(*rows, *unsure), changes=changes, command=words_[0]))
    assert len(text.encode()) < 2**20
    assert f"## Slower ({number:,})" in text
    assert len(re.findall(r"… and [\d,]+ more, in gate\.json\.", text)) == 3


def test_words_are_shown_as_they_are():
    """Nothing that a case says is markup in any of the files."""
    odd = result(
        compared=(row(HOSTILE, Decision.INCONCLUSIVE, message=HOSTILE),),
        changes=(VerificationChange(case=HOSTILE, direction="worse", before="pass", after="fail", message=HOSTILE),),
        untimed=(Untimed(case=HOSTILE, reason=HOSTILE),),
    )
    assert "<script>alert" not in render_gate_html(odd)
    summary = re.sub(r"`[^\n]*`", "", render_gate_markdown(odd))  # in code it may stand as it is
    assert "<script>" not in summary
    ET.fromstring(render_gate_junit(odd).encode(errors="replace"))


def test_junit_counts():
    """A failure for each slow-down and each worse verification; the undecided and the untimed are skipped."""
    root = ET.fromstring(render_gate_junit(result()).encode())
    assert {suite.get("name"): [suite.get(n) for n in ("tests", "failures", "skipped")] for suite in root} == {
        "verification": ["7", "1", "0"],
        "timing": ["6", "2", "2"],
    }
    failed = [case.get("name") for case in root.iter("testcase") if case.find("failure") is not None]
    assert failed == ["wrong", "slowest backward n=1000 float32 cpu", "slow backward n=1000 float32 cpu"]


def test_the_page_shows_every_row():
    """All rows, worst first, and the decision in the title; the policy lets nothing be fetched."""
    page = render_gate_html(result())
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    cells = re.findall(r'data-label="Case"><strong>([^<]+)', page)
    assert cells == ["wrong", "slowest", "slow", "unsure", "fast", "same", "mended"]
    assert "<h1>Gate: 2 workloads slower, 1 verification worse</h1>" in page


def test_the_page_says_what_to_do_about_the_undecided():
    """The way to a decision stands there where a row needs one, and only there."""
    assert "time it again by itself, with <code>-k CASE</code>" in render_gate_html(result())
    assert "time it again by itself" not in render_gate_html(result(compared=(row("same", Decision.SAME),)))


def test_files_are_written_and_read_back(tmp_path, monkeypatch):
    """The directory holds four files; the result is read back from one of them; CI's summary is appended to."""
    write_gate(result(), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(GATE_FILES)
    assert read_gate(tmp_path / "out") == result()
    assert read_gate(tmp_path) is None
    summary = tmp_path / "step.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    add_step_summary(result())
    assert summary.read_text().startswith("before\n# Gate: ")


def test_a_result_of_another_version_is_refused(tmp_path):
    """A document of a version that this program does not write is named."""
    document = {**json.loads(to_json(result())), "version": 99}
    (tmp_path / "gate.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match="99"):
        read_gate(tmp_path)


def test_the_terminal_says_what_is_wrong(capsys):
    """The slow rows with their ratios, the worse verification, and the headline; no colours where it is no terminal."""
    print_gate(result(), None)
    out = capsys.readouterr().out
    assert "\x1b" not in out
    for said in ("main (0123abcd) → working tree", "+150.0 %", "worse wrong pass → fail", "not timed new: it is new"):
        assert said in out
    assert "Gate: 2 workloads slower, 1 verification worse in 56 s" in out


def test_a_quiet_gate_says_what_it_did():
    """Nothing worse: how many workloads were compared, and how many cases verified."""
    calm = result(**CALM, compared=(row("same", Decision.SAME), row("unsure", Decision.INCONCLUSIVE)), exit_code=0)
    assert words.headline(calm) == "Gate: nothing got worse (1 of 2 workloads compared, 7 cases verified on both sides)"
    assert words.headline(replace(calm, exit_code=3)) == "Gate: nothing could be measured"
