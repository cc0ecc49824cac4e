"""What an NVIDIA device says of itself while it is timed: clocks, heat, power, and why its clocks are held down.

It is asked through NVML, the driver's own library, by the package `nvidia-ml-py`. Without that package or library,
and for single questions that a device does not answer, the fields are None and `missing` says why. An answer is about
the moment it is given: throttling that began and ended between two samples is not seen.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.records import DeviceState

PACKAGE = "nvidia-ml-py"

THROTTLING = {
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "held to another device's clock",
    0x020: "heat, by the driver",
    0x040: "heat, by the hardware",
    0x080: "power brake",
}
"""By bit of NVML's event reasons (NVML API reference, nvmlClocksEventReasons): what holds the clocks below what they
are set to. Idling (0x1) and clocks set by someone (0x2, 0x100) are no throttling."""


@dataclass(frozen=True, slots=True)
class Nvml:
    """One device as NVML shows it."""

    library: Any
    """The module `pynvml`, initialised."""
    handle: Any

    def read(self) -> DeviceState:
        """Ask for everything now; takes some ten microseconds of host time."""
        nvml, handle = self.library, self.handle
        power_mw = self._ask(nvml.nvmlDeviceGetPowerUsage, handle)
        reasons = self._ask(_question_of_reasons(nvml), handle)
        return DeviceState(
            clock_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_MEM),
            temperature_c=self._ask(nvml.nvmlDeviceGetTemperature, handle, nvml.NVML_TEMPERATURE_GPU),
            power_w=None if power_mw is None else power_mw / 1e3,
            throttling=None if reasons is None else throttling(reasons),
            missing="the driver does not say whether the clocks are held down" if reasons is None else None,
        )

    def _ask(self, question: Callable[..., int] | None, *arguments: object) -> int | None:
        """Ask one question; None when the device has no answer to it."""
        if question is None:
            return None
        try:
            return int(question(*arguments))
        except self.library.NVMLError:
            return None


def throttling(reasons: int) -> tuple[str, ...]:
    """Name the bits of a reason mask that mean throttling."""
    return tuple(word for bit, word in THROTTLING.items() if reasons & bit)


def state_reader(
    uuid: str, bus_id: str, *, load: Callable[[str], Any] = importlib.import_module
) -> Callable[[], DeviceState]:
    """Make the function that asks a device for its state.

    Args:
        uuid: the device's, as torch gives it.
        bus_id: where the device sits, "00000000:3B:00.0": used where NVML does not know the UUID.
        load: imports a module by name (for tests).

    Returns:
        A function without arguments; where nothing can be asked, its answer holds the reason alone.
    """
    try:
        nvml = load("pynvml")
    except ImportError:
        return _silent(f"{PACKAGE} is not installed")
    try:
        nvml.nvmlInit()
        return Nvml(nvml, _handle(nvml, uuid, bus_id)).read
    except nvml.NVMLError as error:
        return _silent(f"NVML cannot be asked: {error}")


def _handle(nvml: Any, uuid: str, bus_id: str) -> object:
    """Find a device by what does not depend on which devices are visible, or in what order."""
    try:
        return nvml.nvmlDeviceGetHandleByUUID(uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}")
    except nvml.NVMLError:
        return nvml.nvmlDeviceGetHandleByPciBusId(bus_id)


def _question_of_reasons(nvml: Any) -> Callable[..., int] | None:
    """Find the question for the reasons: it was renamed in NVML 12."""
    names = ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons")
    return next((getattr(nvml, name) for name in names if hasattr(nvml, name)), None)


def _silent(reason: str) -> Callable[[], DeviceState]:
    state = DeviceState(missing=reason)
    return lambda: state
