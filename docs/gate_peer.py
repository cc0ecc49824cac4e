"""How often `pytest-benchmark --benchmark-compare-fail=mean:5%` is wrong, on the very workloads of a gate's self-test.

    harness gate --self-test cases --out reports/selftest
    python docs/gate_peer.py reports/selftest/selftest.json

One run is stored; further runs of the same code, as it is and slowed down by 5 and 10 %, are compared with it, each in
a process of its own, as a CI job would. A sample is the same block of calls as in the self-test, and a slow-down is
added to it in the same way. Prints the table that stands in docs/gate.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from harness.gate.selftest import EFFECTS, SelfTest, clopper_pearson, from_json

RULE = "mean:5%"
REGRESSED = re.compile(r"^\s+(\S+) \(\S+\) - Field 'mean' has failed", re.MULTILINE)

MODULE = '''
"""The workloads of a self-test, as pytest-benchmark times them."""
import json, os, time
from itertools import repeat
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter

from harness.case.trust import Trust
from harness.gate.records import Workload
from harness.gate.subjects import Subjects

ROOT = Path(os.environ["PEER_ROOT"])
INJECTED = float(os.environ["PEER_INJECTED"])
ROWS = [(TypeAdapter(Workload).validate_python(row["workload"]), row["inner"])
        for row in json.loads(Path(os.environ["PEER_ROWS"]).read_text())]
torch.set_num_threads(1)
SUBJECTS = Subjects(ROOT, ROOT, Trust.from_config(ROOT), 0, 1.0)


@pytest.mark.parametrize("place", range(len(ROWS)))
def test_workload(place, benchmark):
    workload, inner = ROWS[place]
    SUBJECTS.prepare(workload)
    work, _ = SUBJECTS._prepared()
    extra = int(INJECTED * inner)

    def block():
        start = time.perf_counter_ns()
        for _ in repeat(None, inner + extra):
            work.call()
        rest = (INJECTED * inner - extra) / (inner + extra)
        until = time.perf_counter_ns() + rest * (time.perf_counter_ns() - start)
        while rest and time.perf_counter_ns() < until:
            pass

    benchmark(block)
'''


def workloads(test: SelfTest) -> list[dict[str, object]]:
    """Return the workloads of a self-test with their calls per sample, each once."""
    found = {row.workload.label: row for one in test.repetitions for row in one.rows if row.screened is not None}
    return [{"workload": asdict(row.workload), "inner": row.inner} for row in found.values() if row.inner]


def main() -> None:
    """Run the comparisons and print the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("samples", type=Path, help="selftest.json")
    asked.add_argument("--runs", type=int, default=12, help="runs of each slow-down")
    chosen = asked.parse_args()
    rows = workloads(from_json(chosen.samples.read_bytes()))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_peer.py").write_text(MODULE)
        (folder / "rows.json").write_text(json.dumps(rows))
        timed = _pytest(folder, 0.0, "--benchmark-save=stored")
        print(f"{len(rows)} workloads, {chosen.runs} runs of each, rule {RULE}; {timed.strip().splitlines()[-1]}")
        print("| injected | called slower | share | 95 % interval |\n|---|---|---|---|")
        for effect in EFFECTS:
            alarms, total = 0, chosen.runs * len(rows)
            for _ in range(chosen.runs):
                told = _pytest(folder, effect, "--benchmark-compare=0001", f"--benchmark-compare-fail={RULE}")
                alarms += len(set(REGRESSED.findall(told)))
            low, high = clopper_pearson(alarms, total)
            counted = f"{alarms} of {total} | {alarms / total:.1%} | {low:.1%} to {high:.1%}"
            print(f"| {effect:+.0%} | {counted} |", flush=True)


def _pytest(folder: Path, injected: float, *options: str) -> str:
    """Run pytest on the workloads in a fresh process, and return what it says."""
    told = {"PEER_ROOT": str(Path.cwd()), "PEER_ROWS": str(folder / "rows.json"), "PEER_INJECTED": str(injected)}
    plain = ("-q", "-p", "no:xdist", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *plain, "test_peer.py", *options]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **told}, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
