"""Prints, after the benchmarks, what each costs relative to its peers in the same run."""

from __future__ import annotations

from collections import defaultdict

import pytest
import torch

torch.set_num_threads(1)
OURS = "harness"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print a table of ratios, group by group; absolute times of a shared machine mean little."""
    session = getattr(config, "_benchmarksession", None)
    groups: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for bench in session.benchmarks if session else ():
        if bench.has_error or bench.group is None:
            continue
        groups[bench.group][bench.extra_info["peer"]] = bench.stats.median
    if not groups:
        return
    terminalreporter.section("time of each peer / time of the harness (median, this run)")
    for group, medians in groups.items():
        own = medians.get(OURS)
        for peer, median in medians.items():
            if peer != OURS and own:
                terminalreporter.write_line(f"{group:<28} {peer:<18} {median / own:8.2f} ×")
        if own and len(medians) == 1:
            terminalreporter.write_line(f"{group:<28} {'(no peer)':<18} {own:8.3f} s here")
