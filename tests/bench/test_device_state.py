"""What an NVIDIA device says of itself, through a library that tests stand in for."""

from types import SimpleNamespace

import pytest

from harness.bench.device_state import Nvml, state_reader, throttling
from harness.records import DeviceState


class FakeNvmlError(Exception):
    """What the library raises."""


def answers(value):
    """A question that is always answered so; an exception is raised instead."""

    def question(*arguments):
        if isinstance(value, Exception):
            raise value
        return value

    return question


def make_library(**changes):
    """A library with a device at 1200 MHz, 61 °C, 250 W, held by its power cap."""
    asked = []

    def clock(handle, which):
        asked.append(handle)
        return {"sm": 1200, "memory": 2600}[which]

    members = {
        "NVMLError": FakeNvmlError,
        "NVML_CLOCK_SM": "sm",
        "NVML_CLOCK_MEM": "memory",
        "NVML_TEMPERATURE_GPU": "gpu",
        "nvmlInit": answers(None),
        "nvmlDeviceGetHandleByUUID": lambda uuid: f"by uuid {uuid}",
        "nvmlDeviceGetHandleByPciBusId": lambda bus: f"by bus {bus}",
        "nvmlDeviceGetClockInfo": clock,
        "nvmlDeviceGetTemperature": answers(61),
        "nvmlDeviceGetPowerUsage": answers(250_400),
        "nvmlDeviceGetCurrentClocksEventReasons": answers(0x4),
        "asked": asked,
    }
    return SimpleNamespace(**{name: value for name, value in (members | changes).items() if value is not None})


def test_a_device_says_all_it_knows():
    """Clocks in MHz, heat in degrees, power in watts, and why the clocks are held down."""
    state = state_reader("abc", "0:1", load=lambda name: make_library())()
    assert state == DeviceState(
        clock_mhz=1200, memory_clock_mhz=2600, temperature_c=61, power_w=250.4, throttling=("power cap",)
    )


def test_a_device_is_found_by_what_does_not_depend_on_visibility():
    """The UUID names the device; NVML's numbers would not be torch's."""
    library = make_library()
    state_reader("abc", "0:1", load=lambda name: library)()
    assert library.asked == ["by uuid GPU-abc"] * 2


def test_where_the_uuid_is_not_known_the_bus_is():
    """A UUID that NVML does not know falls back on the place on the bus."""
    library = make_library(nvmlDeviceGetHandleByUUID=answers(FakeNvmlError("not found")))
    state_reader("abc", "0:1", load=lambda name: library)()
    assert library.asked == ["by bus 0:1"] * 2


def test_without_the_package_the_reason_is_told():
    """A machine without nvidia-ml-py gives no clocks, and says why."""

    def load(name):
        raise ImportError(name)

    assert state_reader("abc", "0:1", load=load)() == DeviceState(missing="nvidia-ml-py is not installed")


def test_without_the_drivers_library_the_reason_is_told():
    """The package alone is not enough."""
    library = make_library(nvmlInit=answers(FakeNvmlError("NVML Shared Library Not Found")))
    state = state_reader("abc", "0:1", load=lambda name: library)()
    assert state == DeviceState(missing="NVML cannot be asked: NVML Shared Library Not Found")


def test_a_device_that_neither_name_finds():
    """Where no handle is to be had, the reason is the last one's."""
    lost = answers(FakeNvmlError("gone"))
    library = make_library(nvmlDeviceGetHandleByUUID=lost, nvmlDeviceGetHandleByPciBusId=lost)
    assert state_reader("abc", "0:1", load=lambda name: library)().missing == "NVML cannot be asked: gone"


def test_single_questions_may_go_unanswered():
    """A device that does not tell its power tells the rest; unknown throttling is not 'no throttling'."""
    unsupported = answers(FakeNvmlError("not supported"))
    library = make_library(nvmlDeviceGetPowerUsage=unsupported, nvmlDeviceGetCurrentClocksEventReasons=unsupported)
    state = Nvml(library, "handle").read()
    assert (state.clock_mhz, state.power_w, state.throttling) == (1200, None, None)
    assert state.missing == "the driver does not say whether the clocks are held down"


def test_the_question_for_reasons_has_an_older_name():
    """Libraries before NVML 12 have it under the old name; without either, it is unknown."""
    old = make_library(
        nvmlDeviceGetCurrentClocksEventReasons=None, nvmlDeviceGetCurrentClocksThrottleReasons=answers(0x40)
    )
    assert Nvml(old, "handle").read().throttling == ("heat, by the hardware",)
    neither = make_library(nvmlDeviceGetCurrentClocksEventReasons=None)
    assert Nvml(neither, "handle").read().throttling is None


@pytest.mark.parametrize(
    ("mask", "words"), [(0, ()), (0x1, ()), (0x2, ()), (0x100, ()), (0x24, ("power cap", "heat, by the driver"))]
)
def test_idling_and_chosen_clocks_are_no_throttling(mask, words):
    """Only what holds the clocks below what they are set to counts."""
    assert throttling(mask) == words


def test_bits_are_the_librarys():
    """Every bit that counts is the one the installed library has under that name."""
    pynvml = pytest.importorskip("pynvml", reason="nvidia-ml-py is not installed")
    names = ("SwPowerCap", "HwSlowdown", "SyncBoost", "SwThermalSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown")
    bits = [getattr(pynvml, f"nvmlClocksEventReason{name}") for name in names]
    assert [len(throttling(bit)) for bit in bits] == [1] * 6
    assert len(throttling(sum(bits))) == 6
