"""`harness history`, what runs record without being told, and the page."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from harness.cli import app as cli
from harness.cli.conclude import record
from harness.errors import UsageError
from harness.history.metrics import METRICS
from harness.history.page import render_history
from harness.history.store import append, read
from harness.history.target import record_at, shown
from harness.history.view import Question, view

CASE = """\
case: square
title: Sum of squares
inputs: {x: {shape: [3]}}
function: sum(x*x)
gradient: {x: 2*x}
"""
HOSTILE = "<script>window.pwned = 1</script>"


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """A function that runs a command line in an empty folder and returns (exit code, standard output, error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as ended:
            return (ended.code or 0, *capsys.readouterr())
        return (0, *capsys.readouterr())

    return call


@pytest.fixture
def stepped(make_run):
    """A function that fills a history: twelve runs, from the seventh on at twice the time."""

    def fill(url, **environment):
        for day in range(12):
            append(make_run(day, make_run.timing(1e-5 if day < 6 else 2e-5), **environment), url)
        return url

    return fill


def test_history_shows_what_changed(call, stepped):
    """The table has the series, the change is named with its commits, and other files are told on standard error."""
    stepped("history")
    Path("history", "stray.parquet").write_bytes(b"?")
    code, out, err = call("history", "history")
    assert code == 0
    assert "rss · backward · n=100 · cpu · autograd · float32 · 1 thread" in out
    assert "worse +100.0 %" in out
    assert "Between 000000005 (2026-01-06) and 000000006 (2026-01-07): 1 series worse" in out
    assert err == "Left out stray.parquet: is not named as history files are\n"


def test_json_is_one_document(call, stepped):
    """--json prints the figures and nothing else; -k and --since choose."""
    stepped("history")
    _, out, _ = call("history", "history", "--json", "-k", "backward and not forward", "--since", "2026-01-02")
    (trend,) = json.loads(out)["trends"]
    assert (trend["n"], trend["case"], trend["changes"][0]["worse"]) == (11, "rss", True)
    assert json.loads(call("history", "history", "--json", "-k", "nothing")[1])["trends"] == []


def test_unlike_machines_are_named(call, stepped):
    """What is not shown is listed, and shown by itself on demand."""
    stepped("history")
    stepped("history", cpu="Other CPU")
    out = call("history", "history")[1]
    assert "Not shown" in out and out.count("12 runs") == 2
    assert call("history", "history", "--all-machines")[1].count("Between 000000005") == 2


@pytest.mark.parametrize(
    ("arguments", "why"), [(["nowhere"], "does not exist"), (["--metric", "speed"], "Name one of")]
)
def test_misuse_is_two(call, arguments, why):
    """A history that is not there and a metric that is none end with 2 and say why."""
    code, _, err = call("history", *arguments)
    assert (code, why in err) == (2, True)


def test_a_gate_is_no_run(call, monkeypatch):
    """A gate's directory is told from one that holds nothing, and then nothing is recorded at all."""
    gates = {Path("gate"): "its result"}
    monkeypatch.setattr("harness.report.write_gate.read_gate", gates.get)
    code, _, err = call("history", "kept", "--add", "run", "--add", "gate")
    assert (code, "add='gate' holds a gate" in err, Path("kept").exists()) == (2, True, False)


def test_a_run_is_recorded_where_asked(call):
    """`--history` records any command's run, and says where; without it `verify` records nothing."""
    Path("case.yaml").write_text(CASE)
    code, out, _ = call("verify", "case.yaml", "--out", "out", "--jobs", 1, "--effort", "quick", "--history", "kept")
    assert (code, "History: " in out, read("kept").files) == (0, True, 1)
    assert set(read("kept").frame["kind"]) == {"verification", "accuracy", "count"}
    shutil.rmtree("kept")
    code, _, err = call("history", "kept", "--add", "out", "--metric", "digits")
    assert (code, err, read("kept").files) == (0, "", 1)


def test_what_is_recorded_without_being_told(tmp_path):
    """Run and bench, unless a run directory is named; a project may name a place, or none."""

    def asked(command, option=None, *, has_out=False):
        return record_at(option, command=command, has_out=has_out, start=tmp_path)

    assert [asked(command) for command in ("run", "bench", "verify", "torch")] == ["reports/history"] * 2 + [None] * 2
    assert (asked("run", has_out=True), asked("run", "off"), asked("verify", "x", has_out=True)) == (None, None, "x")
    config = tmp_path / "pyproject.toml"
    config.write_text('[tool.harness]\nhistory = "kept"\n')
    assert (asked("bench", has_out=True), asked("verify")) == (str(tmp_path / "kept"), None)
    assert (shown(None, tmp_path), shown("y", tmp_path)) == (str(tmp_path / "kept"), "y")
    config.write_text('[tool.harness]\nhistory = "s3://bucket/history"\n')
    assert asked("run") == "s3://bucket/history"
    config.write_text('[tool.harness]\nhistory = "off"\n')
    assert (asked("run"), shown(None, tmp_path)) == (None, "reports/history")
    config.write_text("[tool.harness]\nhistory = 3\n")
    with pytest.raises(UsageError, match="Cannot read history"):
        asked("run")


def test_an_interrupted_run_is_no_point(make_run, tmp_path):
    """Half a run is not recorded; a whole one is."""
    for interrupted in (True, False):
        record(make_run(interrupted=interrupted), str(tmp_path / "history"), quiet=True)
        assert (tmp_path / "history").exists() is not interrupted


def test_the_page_escapes_what_runs_say(make_run, memory_url):
    """Names of cases, commits and machines reach the page as text alone."""
    for day in range(12):
        append(make_run(day, case=HOSTILE, cpu=HOSTILE), memory_url)
    html = render_history(view(memory_url, Question(metric=METRICS["time"]), None))
    assert HOSTILE not in html
    assert "&lt;script&gt;window.pwned" in html


def test_the_page_says_when_there_are_too_few_runs(make_run, memory_url):
    """Three runs are no evidence that nothing changed; and one thread is one thread."""
    for day in range(3):
        append(make_run(day), memory_url)
    html = render_history(view(memory_url, Question(metric=METRICS["time"]), None))
    assert "too few runs yet to look for changes" in html
    assert "no change of level" not in html
    assert not re.search(r"\b1 (threads|cores)\b", html)


@pytest.mark.browser
def test_the_page_draws_in_a_browser(call, stepped, tmp_path):
    """A row opens, its figure is drawn with the change, the filter works; nothing is fetched, nothing complains."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(
        (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
    )
    if path is None:
        pytest.skip("no browser on PATH")
    stepped("history")
    assert call("history", "history", "--html", "page.html")[0] == 0
    fetched, complaints = [], []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--headless", "--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.on("request", lambda request: fetched.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto((tmp_path / "page.html").as_uri())
        page.locator(".open").click()
        page.locator('.plot[data-figure="trend"][data-drawn]').wait_for()
        assert "+100.0 %" in page.locator(".plot").inner_text()
        page.locator("#filter").fill("nothing of that name")
        assert page.locator("tbody.case:visible").count() == 0
        browser.close()
    assert [url for url in fetched if not url.startswith(("file:", "data:", "blob:"))] == []
    assert complaints == []
