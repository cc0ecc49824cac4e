"""Results on the CPU and on an accelerator against float64: a fake device whose copies are off by a known factor."""

import pytest
import torch

from harness.bench import agreement
from harness.bench.agreement import agreements, relative_error
from harness.case.subject import Input, Subject
from harness.records import Agreement

ROW = Agreement(of="", device="cuda", dtype="float32", sizes=(("n", 50),), elements=50, precision="matmul ieee")


def cubes(tensors):
    """Sum of cubes."""
    return ((tensors["x"] ** 3).sum(),)


def subject(function=cubes, **inputs):
    """A subject of one input of 50 entries, and more where given."""
    return Subject(name="cubes", inputs={"x": Input(shape=("n",)), **inputs}, function=function)


def drawn(**more):
    """Inputs drawn from a seed, in double precision."""
    return {"x": torch.randn(50, generator=torch.Generator().manual_seed(3), dtype=torch.float64), **more}


def compared(device, one=None, values=None, dtype=torch.float32, wanted=("x",)):
    """Compare a subject."""
    return agreements(one or subject(), values or drawn(), wanted, dtype, device, ROW)


def test_value_and_gradients_have_an_error_each(make_fake_cuda):
    """In float32 both devices lie within rounding of float64, and not at zero."""
    value, gradient = compared(make_fake_cuda())
    assert (value.of, gradient.of) == ("value", "x")
    for row in (value, gradient):
        assert 0 < row.cpu_error < 1e-6
        assert 0 < row.device_error < 1e-6
        assert (row.precision, row.sizes, row.message) == ("matmul ieee", (("n", 50),), "")


def test_an_error_of_the_device_is_seen(make_fake_cuda):
    """Inputs that arrive larger by 1 in 1000 change a cube by 3 in 1000 and its gradient by 2; the CPU's do not."""
    value, gradient = compared(make_fake_cuda(skew=1.001))
    assert value.device_error == pytest.approx(3e-3, rel=1e-2)
    assert gradient.device_error == pytest.approx(2e-3, rel=1e-2)
    assert value.cpu_error < 1e-6 and gradient.cpu_error < 1e-6


def test_float64_on_the_cpu_is_the_truth_itself(make_fake_cuda):
    """Timed in float64, the CPU's error is zero by construction."""
    assert [row.cpu_error for row in compared(make_fake_cuda(), dtype=torch.float64)] == [0.0, 0.0]


def test_rounding_the_inputs_is_nobodys_error(make_fake_cuda):
    """Inputs are rounded before the truth is computed: a subject without arithmetic has no error in float16."""
    one = subject(lambda tensors: (tensors["x"].clone(),))
    assert [row.cpu_error for row in compared(make_fake_cuda(), one, dtype=torch.float16)] == [0.0, 0.0]


def test_a_result_that_is_not_finite_has_no_error(make_fake_cuda):
    """An overflow in float16 is said, on the devices it happens on, and is no number."""
    values = {"x": torch.full((50,), 100.0, dtype=torch.float64)}
    value, _ = compared(make_fake_cuda(), values=values, dtype=torch.float16)
    assert (value.cpu_error, value.device_error) == (None, None)
    assert value.message == "no finite error on the CPU and cuda"


def test_whole_numbers_take_part_and_are_not_changed(make_fake_cuda):
    """Integer inputs stay integers; an integer output is compared and has no gradient."""
    values = drawn(k=torch.arange(50))
    one = subject(
        lambda tensors: (tensors["x"][tensors["k"]] * 2.0, tensors["k"] + 1), k=Input(shape=("n",), grad=False)
    )
    value, gradient = compared(make_fake_cuda(), one, values)
    assert (value.cpu_error, value.device_error, gradient.of) == (0.0, 0.0, "x")


def test_a_subject_without_a_gradient_has_its_value_compared(make_fake_cuda):
    """No input to differentiate by: the value alone."""
    assert [row.of for row in compared(make_fake_cuda(), wanted=())] == ["value"]


def test_an_input_that_does_not_matter_has_a_zero_gradient(make_fake_cuda):
    """A zero gradient that all agree on has no error."""
    values = drawn(z=torch.ones(2, dtype=torch.float64))
    rows = compared(make_fake_cuda(), subject(z=Input(shape=(2,))), values, wanted=("x", "z"))
    assert (rows[2].of, rows[2].cpu_error, rows[2].device_error) == ("z", 0.0, 0.0)


def test_complex_results_are_compared(make_fake_cuda):
    """Complex inputs go to the complex counterpart of the dtype."""
    values = {"x": torch.complex(*torch.randn(2, 50, generator=torch.Generator().manual_seed(1), dtype=torch.float64))}
    one = subject(lambda tensors: ((tensors["x"] * tensors["x"].conj()).sum(),))
    assert [0 < row.device_error < 1e-6 for row in compared(make_fake_cuda(), one, values)] == [True, True]


def test_a_subject_that_raises_is_a_row_with_the_reason(make_fake_cuda):
    """A function that is not made for float64 is not compared, and it is said why."""

    def picky(tensors):
        if tensors["x"].dtype is torch.float64:
            raise TypeError("float32 only")
        return cubes(tensors)

    (row,) = compared(make_fake_cuda(), subject(picky))
    assert (row.of, row.cpu_error, row.message) == ("value", None, "not compared: TypeError: float32 only")


def test_no_memory_on_the_device_is_said_and_given_back(make_fake_cuda):
    """What does not fit is not compared; cached memory is given back."""
    cuda = make_fake_cuda(full=True)
    (row,) = compared(cuda)
    assert row.message.startswith("not compared: OutOfMemoryError")
    assert cuda.log[-1] == "release"


def test_no_memory_for_the_truth_is_said(make_fake_cuda, monkeypatch):
    """Inputs too large for float64 on the CPU are not compared."""
    monkeypatch.setattr(agreement, "free_bytes", lambda place: 100)
    (row,) = compared(make_fake_cuda())
    assert row.message.startswith("not compared: it needs about")


def test_relative_errors_by_hand():
    """‖(3, 4) − (0, 4)‖ / ‖(0, 4)‖ is 3/4; an error against nothing has no number."""
    assert relative_error(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 4.0])) == pytest.approx(0.75)
    assert relative_error(torch.ones(1), torch.zeros(1)) is None
    assert relative_error(torch.tensor([float("nan")]), torch.ones(1)) is None
