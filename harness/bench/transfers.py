"""Transfers: the inputs' way to an accelerator and the gradients' way back, as pieces of work timed apart.

Timings of passes hold no transfers: their inputs lie on the device before, and their results stay there. Whoever
starts from the CPU's memory pays these too. Copies from and to pageable memory go through a buffer of the driver and
keep the host waiting; those of page-locked memory do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from harness.bench.device import Device
from harness.bench.sampling import Work

UPLOAD = "host_to_device"
DOWNLOAD = "device_to_host"
"""What such timings are of, in the place of a pass."""

PAGEABLE = "pageable"
PINNED = "pinned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One way of moving tensors; `make` prepares the memory it needs and gives the work."""

    what: str
    variant: str
    moved_bytes: int
    make: Callable[[], Work]


def transfers(inputs: Sequence[Tensor], gradients: Sequence[Tensor], device: Device) -> tuple[Transfer, ...]:
    """List the transfers of a subject at some size.

    Args:
        inputs: what it is given, on the CPU.
        gradients: tensors of its gradients' shapes and dtypes, on the device; without any, nothing comes back.
        device: the accelerator.
    """
    there, back = sum(each.nbytes for each in inputs), sum(each.nbytes for each in gradients)
    ways = [
        Transfer(what=UPLOAD, variant=PAGEABLE, moved_bytes=there, make=lambda: _upload(inputs, device)),
        Transfer(what=UPLOAD, variant=PINNED, moved_bytes=there, make=lambda: _upload(_pinned(inputs, device), device)),
    ]
    if gradients:
        ways += [
            Transfer(what=DOWNLOAD, variant=PAGEABLE, moved_bytes=back, make=lambda: _download(gradients, device)),
            Transfer(what=DOWNLOAD, variant=PINNED, moved_bytes=back, make=lambda: _download_pinned(gradients, device)),
        ]
    return tuple(ways)


def _pinned(tensors: Sequence[Tensor], device: Device) -> list[Tensor]:
    return [device.pinned(each) for each in tensors]


def _upload(tensors: Sequence[Tensor], device: Device) -> Work:
    return Work(call=lambda: [device.upload(each) for each in tensors])


def _download(tensors: Sequence[Tensor], device: Device) -> Work:
    return Work(call=lambda: [device.download(each) for each in tensors])


def _download_pinned(tensors: Sequence[Tensor], device: Device) -> Work:
    pairs = list(zip(tensors, _pinned([each.cpu() for each in tensors], device), strict=True))
    return Work(call=lambda: [device.download(each, into) for each, into in pairs])
