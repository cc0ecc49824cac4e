"""Mini-batches through a DataLoader, fresh data, modules, and a classifier's accuracy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest
import torch

from harness.converge.training import Epochs, Rows, accuracy, row_loader
from harness.errors import UsageError
from harness.records import Outcome

LINE = {"x": {"shape": ["n"], "grad": False}, "a": {}, "b": {}}
CLOUDS = {
    "noise": {"shape": ["n", 2], "scale": 0.3, "grad": False},
    "labels": {"shape": ["n"], "draw": "integers(0, 2)", "grad": False},
    "W": {"shape": [2, 2]},
}
SCORES = "(noise + stack([2*labels - 1, 1 - 2*labels], 1)) @ W"


def loader(size: int, *, shuffle: bool = True, seed: int = 0):
    """Return a loader over ten numbered rows."""
    data = {"x": torch.arange(10.0), "y": torch.arange(10.0) * 2}
    return row_loader(data, ["x", "y"], size=size, shuffle=shuffle, generator=torch.Generator().manual_seed(seed))


def test_an_epoch_holds_every_row_once() -> None:
    """Shuffled batches of four over ten rows: 4, 4, 2, all rows, rows kept together."""
    batches = list(loader(4))
    assert [len(batch["x"]) for batch in batches] == [4, 4, 2]
    assert sorted(torch.cat([batch["x"] for batch in batches]).tolist()) == list(range(10))
    assert all(torch.equal(batch["y"], 2 * batch["x"]) for batch in batches)


def test_epochs_go_on_in_a_new_order() -> None:
    """After one epoch comes the next, shuffled anew, with the unbatched inputs along."""
    rest = {"scale": torch.tensor(3.0)}
    first, second = islice(Epochs(loader(10), rest, torch.device("cpu")), 2)
    assert not torch.equal(first["x"], second["x"])
    assert first["scale"] == 3.0


def test_one_row_is_what_the_data_set_says() -> None:
    """The data set can be indexed like any other."""
    rows = Rows({"x": torch.arange(4.0)})
    assert (len(rows), rows[2]["x"].item()) == (4, 2.0)


def test_rows_of_different_length_are_refused() -> None:
    """Inputs batched together have the same first size."""
    with pytest.raises(UsageError, match="first sizes differ"):
        Rows({"x": torch.zeros(3), "y": torch.zeros(4)})


def test_a_batch_larger_than_the_data_is_refused() -> None:
    """Asking for more rows than there are is a mistake, not one big batch."""
    with pytest.raises(UsageError, match="more than the 10 rows"):
        loader(11)


def test_accuracy_is_the_share_of_right_rows() -> None:
    """Two of three rows right; a row that is not finite is wrong."""
    scores = torch.tensor([[1.0, 2.0], [3.0, 0.0], [torch.nan, 1.0]])
    assert accuracy(scores, torch.tensor([1, 0, 0])) == pytest.approx(2 / 3)


def test_mini_batches_reach_exact_data(one: Callable) -> None:
    """On data that fit exactly, SGD on batches reaches the minimum itself."""
    record = one(
        "mean((a*x + b - 3*x - 1)**2)",
        LINE,
        dims={"n": 50},
        options={"lr": 0.1},
        steps=2000,
        batches={"size": 10},
        minimum={"a": 3, "b": 1},
    )
    assert record.outcome is Outcome.PASS
    assert record.observed_rate is None


def test_batches_along_an_unknown_size_are_refused(one: Callable) -> None:
    """Without an input along that size there are no rows to batch."""
    record = one("mean((a*x + b)**2)", LINE, dims={"n": 5}, batches={"size": 2, "along": "m"}, loss_below=1.0)
    assert record.outcome is Outcome.ERROR


def test_fresh_data_reach_the_minimum(one: Callable) -> None:
    """With x drawn anew at every step, Adam finds the line all x lie on, judged by a held-out draw as well."""
    entry = {"dims": {"n": 20}, "optimizer": "Adam", "options": {"lr": 0.1}, "steps": 600, "fresh": ["x"]}
    function = "mean((a*x + b - 3*x - 1)**2)"
    assert one(function, LINE, **entry, minimum={"a": 3, "b": 1}, within=1e-2).outcome is Outcome.PASS
    assert one(function, LINE, **entry, loss_below=1e-3).outcome is Outcome.PASS


def test_a_classifier_is_judged_by_its_accuracy(one: Callable) -> None:
    """Two clouds are told apart after training and not before; what is asked for decides."""
    entry = {
        "dims": {"n": 60},
        "options": {"lr": 0.5},
        "steps": 60,
        "batches": {"size": 20},
        "start": {"W": [[1, -1], [-1, 1]]},
    }
    rule = {"scores": "scores", "labels": "labels", "at_least": 0.95}
    function, let = "cross_entropy(scores, labels)", {"scores": SCORES}
    record = one(function, CLOUDS, let=let, **entry, accuracy=rule)
    assert (record.outcome, record.status) == (Outcome.PASS, "hit")
    assert dict(record.metric)["accuracy"] >= 0.95 > dict(record.metric)["accuracy at the start"]


def test_an_untrained_classifier_fails(one: Callable) -> None:
    """A learning rate too small to learn leaves the accuracy where it was."""
    entry = {"dims": {"n": 60}, "options": {"lr": 1e-6}, "steps": 5, "start": {"W": [[1, -1], [-1, 1]]}}
    rule = {"scores": "scores", "labels": "labels", "at_least": 0.95}
    record = one("cross_entropy(scores, labels)", CLOUDS, let={"scores": SCORES}, **entry, accuracy=rule)
    assert (record.outcome, record.status) == (Outcome.FAIL, "budget")


def test_a_module_is_trained_through_a_loader(modules: Callable) -> None:
    """The parameters of an nn.Module reach the line, from its own initial values, batch by batch."""
    (record,) = modules(
        "Line",
        "mean((output - 2*x - 1)**2)",
        {"x": {"shape": ["n"], "grad": False}},
        dims={"n": 50},
        options={"lr": 0.1},
        steps=1500,
        batches={"size": 10},
        minimum="least_squares",
        fit={"x": "x", "y": "2*x + 1", "prediction": "output"},
    )
    assert record.outcome is Outcome.PASS
    assert dict(record.final) == {"layer.weight": pytest.approx((2.0,)), "layer.bias": pytest.approx((1.0,))}
    assert record.fit.predictions[-1] == pytest.approx(record.fit.y, abs=1e-5)


def test_modules_start_by_seed(modules: Callable) -> None:
    """Two seeds initialise a module differently, one seed always alike."""
    entry = {"dims": {"n": 5}, "steps": 1, "loss_below": 0.0, "options": {"lr": 0.1}}
    arguments = ("Line", "mean((output - x)**2)", {"x": {"shape": ["n"], "grad": False}})
    starts = [modules(*arguments, seed=seed, **dict(entry))[0].trajectory[0].parameters for seed in (0, 0, 1)]
    assert starts[0] == starts[1] != starts[2]


def test_a_module_classifier_is_scored(modules: Callable) -> None:
    """`output` is what the module returns."""
    (record,) = modules(
        "Classifier",
        "cross_entropy(output, labels)",
        {
            "x": {"shape": ["n", 2], "grad": False},
            "labels": {"shape": ["n"], "draw": "choice(1)", "grad": False},
        },
        dims={"n": 20},
        options={"lr": 1.0},
        steps=100,
        accuracy={"scores": "output", "labels": "labels", "at_least": 0.95},
    )
    assert dict(record.metric)["accuracy"] == 1.0
