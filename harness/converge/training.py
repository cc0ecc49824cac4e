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


def epochs(loader: DataLoader[dict[str, Tensor]], rest: Tensors, device: torch.device) -> Iterator[Tensors]:
    """Yield batches without end, epoch after epoch, on `device`, each together with the inputs that have no rows."""
    while True:
        for batch in loader:
            yield {**rest, **{name: tensor.to(device) for name, tensor in batch.items()}}


def row_loader(
    data: Tensors, names: Sequence[str], *, size: int, shuffle: bool, generator: torch.Generator
) -> DataLoader[dict[str, Tensor]]:
    """Make a DataLoader over the rows of the named tensors, kept on the CPU until a batch is drawn.

    Args:
        data: the inputs, by name.
        names: those whose rows are batched together.
        size: rows per batch; the last batch of an epoch may be smaller.
        shuffle: whether each epoch has a new order.
        generator: where the order comes from.
    """
    rows = Rows({name: data[name].cpu() for name in names})
    if size > len(rows):
        raise UsageError(
            f"Cannot make batches: size={size} is more than the {len(rows)} rows there are. Use a smaller size."
        )
    return DataLoader(rows, batch_size=size, shuffle=shuffle, generator=generator, collate_fn=_as_it_is)


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
