"""Training as users do it: rows through a real Dataset and DataLoader, and real `torch.nn.Module` parameters.

It moves data and makes modules; what a loss is, and when a descent has arrived, is not decided here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from harness.case.points import generator_for
from harness.case.schema import Batches
from harness.case.subject import Subject, Tensors
from harness.errors import UsageError


class Rows(Dataset[dict[str, Tensor]]):
    """Rows of several tensors that share their first size; one item is that row of every tensor, by name."""

    def __init__(self, tensors: Tensors) -> None:
        lengths = {name: tensor.shape[0] for name, tensor in tensors.items()}
        if len(set(lengths.values())) != 1:
            raise UsageError(f"Cannot make batches: the inputs' first sizes differ or are missing: {lengths}.")
        self.tensors = dict(tensors)
        self.length = next(iter(lengths.values()))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: tensor[index] for name, tensor in self.tensors.items()}

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Return a whole batch at once; the DataLoader prefers this over one call per row."""
        chosen = torch.as_tensor(indices)
        return {name: tensor[chosen] for name, tensor in self.tensors.items()}


class Epochs:
    """Batches without end, epoch after epoch, on one device, each together with the inputs that have no rows.

    What order an epoch has comes from the loader's generator; `state_dict` holds its state from before the epoch and
    how many batches were taken since, so that a stream that loads it goes on with the very next batch.
    """

    def __init__(self, loader: DataLoader[dict[str, Tensor]], rest: Tensors, device: torch.device) -> None:
        self.loader, self.rest, self.device = loader, dict(rest), device
        self.taken = 0
        self._batches: Iterator[dict[str, Tensor]] | None = None
        self._before = self._generator().get_state()

    def __iter__(self) -> Iterator[Tensors]:
        return self

    def __next__(self) -> dict[str, Tensor]:
        if self._batches is None or self.taken == len(self.loader):
            # To its end: where an order runs out, the sampler draws from the generator once more.
            next(self._batches or iter(()), None)
            self._begin()
        batch = next(cast("Iterator[dict[str, Tensor]]", self._batches))
        self.taken += 1
        return {**self.rest, **{name: tensor.to(self.device) for name, tensor in batch.items()}}

    def take(self, most: int) -> tuple[Tensors, ...]:
        """Return the next batches of one epoch: `most` of them, or fewer where it ends before."""
        first = next(self)
        return (first, *(next(self) for _ in range(min(most - 1, len(self.loader) - self.taken))))

    def rows(self, batch: Tensors) -> int:
        """Return how many rows a batch has."""
        return next(len(value) for name, value in batch.items() if name not in self.rest)

    def joined(self, batches: Sequence[Tensors]) -> dict[str, Tensor]:
        """Return several batches as one."""
        return {
            name: value if name in self.rest else torch.cat([batch[name] for batch in batches])
            for name, value in batches[0].items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on from here: the generator's state before this epoch, and its batches so far."""
        return {"generator": self._before, "taken": self.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another stream over the same rows was."""
        self._generator().set_state(state["generator"])
        self._begin()
        for _ in range(state["taken"]):
            next(self)

    def _begin(self) -> None:
        self._before = self._generator().get_state()
        if self._batches is not None and self.loader.persistent_workers:
            # A loader draws the seed of its workers before each epoch's order, but not where they outlive the epoch:
            # drawn here, the order is the same with and without workers.
            torch.empty((), dtype=torch.int64).random_(generator=self._generator())
        self._batches, self.taken = iter(self.loader), 0

    def _generator(self) -> torch.Generator:
        return cast("torch.Generator", self.loader.generator)


def make_epochs(
    subject: Subject, data: Tensors, batches: Batches, *, seed: int, device: torch.device, workers: int | None = None
) -> Epochs:
    """Make the stream of mini-batches that a convergence entry declares.

    Args:
        subject: tells which inputs have the rows.
        data: the inputs that are not parameters, by name.
        batches: what is declared.
        seed: the run's seed, which the order follows from.
        device: where batches are moved.
        workers: processes that load rows, instead of as many as declared.
    """
    along = [name for name in data if subject.inputs[name].shape[:1] == (batches.along,)]
    loader = row_loader(
        data,
        along,
        size=batches.size,
        shuffle=batches.shuffle,
        generator=generator_for(seed, subject.name, "converge", "batches"),
        workers=batches.workers if workers is None else workers,
    )
    return Epochs(loader, {name: value for name, value in data.items() if name not in along}, device)


def row_loader(
    data: Tensors, names: Sequence[str], *, size: int, shuffle: bool, generator: torch.Generator, workers: int = 0
) -> DataLoader[dict[str, Tensor]]:
    """Make a DataLoader over the rows of the named tensors, kept on the CPU until a batch is drawn.

    Args:
        data: the inputs, by name.
        names: those whose rows are batched together.
        size: rows per batch; the last batch of an epoch may be smaller.
        shuffle: whether each epoch has a new order.
        generator: where the order comes from.
        workers: processes that load the rows; 0 loads them here.
    """
    rows = Rows({name: data[name].cpu() for name in names})
    if size > len(rows):
        raise UsageError(
            f"Cannot make batches: size={size} is more than the {len(rows)} rows there are. Use a smaller size."
        )
    return DataLoader(
        rows, batch_size=size, shuffle=shuffle, generator=generator, collate_fn=_as_it_is, num_workers=workers,
        persistent_workers=workers > 0,
    )  # fmt: skip


def fresh_module(subject: Subject) -> nn.Module | None:
    """Make a new module of the subject; None if the subject is not one.

    `torch.nn` initialises from the global generator, which is put back afterwards; `set_parameters` gives the start.
    """
    if subject.module is None:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return cast("nn.Module", subject.module())


def module_output(module: nn.Module, parameters: Tensors, values: Tensors) -> Tensor:
    """Return what the module's forward gives for the inputs it names, its parameters taken from `parameters`."""
    taken = {name: values[name] for name in inspect.signature(module.forward).parameters if name in values}
    return cast("Tensor", torch.func.functional_call(module, dict(parameters), (), taken))


def set_parameters(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Set the module's parameters to `values`, in place, so that they stay the module's own."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name in values:
                parameter.copy_(values[name])


def accuracy(scores: Tensor, labels: Tensor) -> float:
    """Return the share of rows whose largest score (last dim) stands at the row's label.

    Rows with a score that is not finite count as wrong.
    """
    right = (scores.argmax(dim=-1) == labels) & torch.isfinite(scores).all(dim=-1)
    return float(right.double().mean())


def _as_it_is(batch: Any) -> Any:
    """Return a batch unchanged: `Rows` already collated it."""
    return batch
