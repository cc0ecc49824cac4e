"""The seam to torch.cuda: that every function of it is asked the right thing, without a GPU."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from harness.bench import device as seam
from harness.bench.device import DEFAULT_FLUSH_BYTES, FLUSH_FACTOR, TorchCuda, missing
from harness.records import DeviceState

CPU = torch.device("cpu")


@pytest.fixture
def properties(monkeypatch):
    """The properties of a device, as torch would give them."""
    found = SimpleNamespace(L2_cache_size=1000, uuid="abc", pci_bus_id=0x3B, pci_device_id=1, pci_domain_id=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: found)
    return found


def test_the_flush_writes_more_than_the_cache_holds(properties):
    """The buffer is made once, is larger than the L2 cache, and a flush overwrites all of it."""
    device = TorchCuda(CPU)
    device.flush()
    buffer = device._flushed
    assert buffer.nbytes == FLUSH_FACTOR * 1000 > properties.L2_cache_size
    buffer.fill_(7)
    device.flush()
    assert device._flushed is buffer
    assert not buffer.any()


@pytest.mark.parametrize("unknown", [0, None])
def test_a_cache_of_unknown_size_is_flushed_all_the_same(properties, unknown):
    """Where torch does not know the cache's size, more is written than any device has."""
    if unknown is None:
        del properties.L2_cache_size
    else:
        properties.L2_cache_size = unknown
    assert TorchCuda(CPU)._flushed.nbytes == DEFAULT_FLUSH_BYTES


def test_sleep_is_torchs(monkeypatch):
    """The cycles reach torch's kernel; without it there is none, and it is said."""
    asked = []
    monkeypatch.setattr(torch.cuda, "_sleep", asked.append)
    assert TorchCuda().sleep(123)
    assert asked == [123]
    monkeypatch.delattr(torch.cuda, "_sleep")
    assert not TorchCuda().sleep(123)


def test_events_keep_time(monkeypatch):
    """An event that keeps no time would be of no use."""
    monkeypatch.setattr(torch.cuda, "Event", lambda **options: options)
    assert TorchCuda().event() == {"enable_timing": True}


def test_the_device_is_waited_for_and_made_current(monkeypatch):
    """Synchronisation and events are about this device, whichever is current."""
    asked = []
    monkeypatch.setattr(torch.cuda, "synchronize", asked.append)
    monkeypatch.setattr(torch.cuda, "device", lambda place: nullcontext(asked.append(place)))
    device = TorchCuda(torch.device("cuda:1"))
    device.synchronize()
    with device.current():
        pass
    assert asked == [torch.device("cuda:1")] * 2
    assert device.name == "cuda:1"


def test_the_peak_is_over_what_was_held_before(monkeypatch):
    """What the allocator held before the call is not in the peak."""
    held = {"now": 1000, "peak": 5000}
    monkeypatch.setattr(torch.cuda, "synchronize", lambda place: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda place: held.update(peak=held["now"]))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda place: held["now"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda place: held["peak"])
    assert TorchCuda().peak_bytes(lambda: held.update(peak=1300)) == 300


def test_free_memory_is_the_devices(monkeypatch):
    """Free memory, not all of it; cached memory is given back on demand."""
    released = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: (10, 20))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: released.append(1))
    device = TorchCuda()
    device.release()
    assert (device.free_bytes(), released) == (10, [1])


def test_the_drivers_answer_is_asked_for_this_device(properties, monkeypatch):
    """UUID and place on the bus go to the driver's library, once."""
    asked = []

    def reader(uuid, bus):
        asked.append((uuid, bus))
        return lambda: DeviceState(clock_mhz=1)

    monkeypatch.setattr(seam, "state_reader", reader)
    device = TorchCuda()
    assert [device.state(), device.state()] == [DeviceState(clock_mhz=1)] * 2
    assert asked == [("abc", "00000000:3B:01.0")]


def test_copies_go_there_and_back():
    """What was moved is equal, and a download into given memory fills that memory."""
    device, values = TorchCuda(CPU), torch.arange(3.0)
    into = torch.zeros(3)
    assert device.upload(values).equal(values)
    assert device.download(values).equal(values)
    assert device.download(values, into) is into
    assert into.equal(values)


def test_pinning_is_torchs(monkeypatch):
    """Page-locked memory is had from torch."""
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self + 1)
    assert TorchCuda().pinned(torch.zeros(1)).item() == 1


def test_precision_follows_the_settings(monkeypatch):
    """TF32 in matrix products and in cuDNN are told apart, in the present form of the setting and the older one."""
    monkeypatch.setattr(torch.backends, "cudnn", SimpleNamespace(allow_tf32=True))
    assert TorchCuda().precision() == "matmul ieee, cudnn tf32"
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "high")
    assert TorchCuda().precision() == "matmul tf32, cudnn tf32"
    monkeypatch.setattr(torch.backends.cuda, "matmul", SimpleNamespace(fp32_precision="ieee"))
    monkeypatch.setattr(torch.backends, "cudnn", SimpleNamespace(allow_tf32=False))
    assert TorchCuda().precision() == "matmul ieee, cudnn ieee"


def test_the_hosts_time_grows():
    """The seam's host time never goes back."""
    device = TorchCuda()
    assert device.now_s() <= device.now_s()


def test_what_is_missing_is_said(monkeypatch):
    """No CUDA, no such device, or nothing missing."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert missing(torch.device("cuda")) == "CUDA is not available"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert missing(torch.device("cuda:2")) == "CUDA device 2 does not exist; there are 2"
    assert missing(torch.device("cuda:1")) is None


def test_nothing_else_asks_torch_cuda():
    """Every other module of the benchmarks reaches CUDA through the seam, so that tests can stand in for all of it."""
    import re
    from pathlib import Path

    folder = Path(seam.__file__).parent
    asking = [path.name for path in folder.glob("*.py") if re.search(r"torch\.cuda\.\w+\(", path.read_text())]
    assert asking == ["device.py"]
