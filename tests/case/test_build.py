"""Subjects: expressions and Python code become the same kind of callables; code runs only where it is trusted."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from harness.case.build import build_subject
from harness.case.load import load_cases
from harness.case.points import case_points
from harness.case.subject import Subject
from harness.case.trust import Trust
from harness.errors import UntrustedError, UsageError

HEAD = "case: c\ntitle: t\n"
CODE = """
import torch
calls = []
calls.append("loaded")

def power(x, a):
    return x**2 * a

def several(x, a):
    return {"first": x + a, "second": x * a}

def nothing(x, a):
    return 3

def slope(x, a, cotangent):
    return 2 * x * a * cotangent, x**2 * cotangent

def named_slope(x, a, cotangent):
    return {"x": 2 * x * a * cotangent}

def wrong_slope(x, a, cotangent):
    return {"q": x}

class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, a):
        ctx.save_for_backward(x, a)
        return x**2 * a
    @staticmethod
    def backward(ctx, cotangent):
        x, a = ctx.saved_tensors
        return 2 * x * a * cotangent, x**2 * cotangent

class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.register_buffer("shift", torch.tensor(0.5))
        self.register_buffer("count", torch.tensor(0))
    def forward(self, X):
        self.count += 1
        return self.layer(X).squeeze(-1) + self.shift

instance = Line()
not_callable = 3
"""
PYTHON = HEAD + "inputs: {{x: {{shape: [2]}}, a: {{shape: [2]}}}}\nfunction: {{python: './code.py:{name}'}}\n{more}"


def _subject(folder: Path, text: str, trust: Trust | None = None) -> Subject:
    (folder / "code.py").write_text(CODE)
    (folder / "a.yaml").write_text(text)
    (case,) = load_cases([folder])
    return build_subject(case, trust=Trust(folders=(folder.resolve(),)) if trust is None else trust)


def _python(folder: Path, name: str, more: str = "") -> Subject:
    return _subject(folder, PYTHON.format(name=name, more=more))


def _tensors(**values) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}


ONE = (torch.tensor(1.0, dtype=torch.float64),)


def test_expressions_with_let_and_sizes(tmp_path):
    """An expression subject evaluates `let` in order and reads sizes off its tensors, whatever they are."""
    text = (
        HEAD
        + "dims: {n: 2}\ninputs: {x: {shape: [n]}}\nlet: {s: x / n, t: s * s}\nfunction: sum(t)\ngradient: {x: 2*s/n}\n"
    )
    subject = _subject(tmp_path, text)
    for values in ([1.0, 2.0], [1.0, 2.0, 3.0]):
        tensors = _tensors(x=values)
        expected = (tensors["x"] / len(values)).square().sum()
        torch.testing.assert_close(subject.function(tensors), (expected,))
        gradient = subject.gradient(tensors, (torch.tensor(2.0, dtype=torch.float64),))
        torch.testing.assert_close(gradient["x"], 4 * tensors["x"] / len(values) ** 2)
    named, outputs = subject.intermediates(tensors)
    assert list(named) == ["s", "t"]
    assert outputs[0] == expected


def test_intermediates_are_on_the_graph(tmp_path):
    """The values under `let` that come back are the ones the output was computed from."""
    subject = _subject(tmp_path, HEAD + "inputs: {x: {}}\nlet: {u: x**2}\nfunction: sin(u)\n")
    x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    named, (output,) = subject.intermediates({"x": x})
    assert torch.autograd.grad(output, named["u"])[0].item() == pytest.approx(math.cos(0.25))


def test_several_outputs_with_cotangents(tmp_path):
    """Several outputs have a cotangent each, and gradients are written in them."""
    text = HEAD + "inputs: {x: {}, y: {}}\nfunction: [x*y, sin(x)]\ngradient: {x: cotangent_0*y + cotangent_1*cos(x)}\n"
    subject = _subject(tmp_path, text)
    tensors = _tensors(x=0.3, y=2.0)
    assert len(subject.function(tensors)) == 2
    gradient = subject.gradient(tensors, tuple(_tensors(a=5.0, b=7.0).values()))
    assert gradient["x"].item() == pytest.approx(10 + 7 * math.cos(0.3))


def test_a_gradient_without_cotangent_needs_a_scalar_output(tmp_path):
    """A gradient that does not mention the cotangent cannot serve an output that is no scalar."""
    subject = _subject(tmp_path, HEAD + "inputs: {x: {shape: [2]}}\nfunction: x**2\ngradient: {x: 2*x}\n")
    tensors = _tensors(x=[1.0, 2.0])
    with pytest.raises(UsageError, match="does not mention `cotangent`"):
        subject.gradient(tensors, (tensors["x"],))


def test_constant_gradients_take_the_shape_of_their_input(tmp_path):
    """`gradient: {x: 1}` is one for every entry."""
    subject = _subject(tmp_path, HEAD + "inputs: {x: {shape: [3]}}\nfunction: sum(x)\ngradient: {x: 1}\n")
    assert subject.gradient(_tensors(x=[1.0, 2.0, 3.0]), ONE)["x"].tolist() == [1.0, 1.0, 1.0]


def test_shapes_that_do_not_match_are_refused(tmp_path):
    """A tensor of another shape than declared is a clear error, for expressions and Python alike."""
    subject = _subject(tmp_path, HEAD + "dims: {n: 3}\ninputs: {x: {shape: [n]}, y: {shape: [n]}}\nfunction: x @ y\n")
    with pytest.raises(
        UsageError, match=r"Cannot use the input 'y': shape=\[3\] is not its declared shape \['n'\] with n=2"
    ):
        subject.function(_tensors(x=[1.0, 2.0], y=[1.0, 2.0, 3.0]))
    with pytest.raises(UsageError, match="'y' is missing"):
        subject.function(_tensors(x=[1.0, 2.0]))


def test_sizes_outside_shapes_are_as_declared(tmp_path):
    """A size no shape has, such as a number of terms, has its declared value."""
    subject = _subject(tmp_path, HEAD + "dims: {k: 4}\ninputs: {x: {}}\nfunction: sum(x ** arange(k))\n")
    assert subject.function(_tensors(x=2.0))[0].item() == 15.0


@pytest.mark.parametrize("name", ["power", "Square"])
def test_python_functions_are_subjects(tmp_path, name):
    """A function is called by keyword, an autograd.Function by position."""
    tensors = _tensors(x=[1.0, 2.0], a=[3.0, 4.0])
    assert _python(tmp_path, name).function(tensors)[0].tolist() == [3.0, 16.0]


def test_python_results_are_normalised(tmp_path):
    """A dict of tensors becomes a tuple; something that is no tensor is refused."""
    tensors = _tensors(x=[1.0, 2.0], a=[3.0, 4.0])
    assert [part.tolist() for part in _python(tmp_path, "several").function(tensors)] == [[4.0, 6.0], [3.0, 8.0]]
    with pytest.raises(UsageError, match="is no tensor"):
        _python(tmp_path, "nothing").function(tensors)


@pytest.mark.parametrize(("name", "inputs"), [("slope", {"x", "a"}), ("named_slope", {"x"})])
def test_python_gradients(tmp_path, name, inputs):
    """A Python gradient returns a tuple in the order of the inputs, or a dict by name."""
    subject = _python(tmp_path, "power", f"gradient: {{python: './code.py:{name}'}}\n")
    tensors = _tensors(x=[1.0, 2.0], a=[3.0, 4.0])
    gradient = subject.gradient(tensors, (torch.ones(2, dtype=torch.float64),))
    assert set(gradient) == inputs
    assert gradient["x"].tolist() == [6.0, 16.0]


def test_python_gradients_of_unknown_inputs_are_refused(tmp_path):
    """A gradient by a name that is no input is a misuse."""
    subject = _python(tmp_path, "power", "gradient: {python: './code.py:wrong_slope'}\n")
    with pytest.raises(UsageError, match="names 'q'"):
        subject.gradient(_tensors(x=[1.0, 2.0], a=[3.0, 4.0]), ONE)


def test_loss_and_references(tmp_path):
    """`loss` is applied to what the code returns, and a reference may be an expression."""
    more = "reference: sum(x**2 * a)\n"
    text = PYTHON.format(name="power", more=more).replace("power'", "power', loss: sum(output)")
    subject = _subject(tmp_path, text)
    tensors = _tensors(x=[1.0, 2.0], a=[3.0, 4.0])
    assert subject.function(tensors)[0].item() == subject.reference(tensors)[0].item() == 19.0


MODULE = (
    HEAD + "dims: {{n: 4}}\ninputs: {{X: {{shape: [n, 3], grad: false}}}}\nfunction: {{python: './code.py:{name}'}}\n"
)


@pytest.mark.parametrize("name", ["Line", "instance"])
def test_module_parameters_are_inputs(tmp_path, name):
    """A module's parameters are differentiable inputs by their dotted names, and its buffers never change."""
    subject = _subject(tmp_path, MODULE.format(name=name))
    assert subject.differentiable == ("layer.weight", "layer.bias")
    tensors = {
        "X": torch.ones(4, 3, dtype=torch.float64),
        **_tensors(**{"layer.weight": [[1.0, 2.0, 3.0]], "layer.bias": [1.0]}),
    }
    for _ in range(2):
        assert subject.function(tensors)[0].tolist() == [7.5] * 4
    assert subject.module().count.item() == 0


def test_module_points_are_its_own_initial_values(tmp_path):
    """A module's parameters start at its own initial values, seeded, without moving torch's own generator."""
    subject = _subject(tmp_path, MODULE.format(name="Line"))
    (case,) = load_cases([tmp_path])
    before = torch.get_rng_state()
    first, again, other = (case_points(case, subject, seed=seed)[0].values["layer.weight"] for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.dtype == torch.float64
    assert first.abs().max() <= 3**-0.5


def test_modules_whose_inputs_are_missing_are_refused(tmp_path):
    """A module whose forward takes something that is no input says so."""
    with pytest.raises(UsageError, match="its forward takes 'X'"):
        _subject(tmp_path, MODULE.format(name="Line").replace("X:", "Z:"))


@pytest.mark.parametrize(("name", "words"), [("missing", "has no 'missing'"), ("not_callable", "is no function")])
def test_wrong_names_are_refused(tmp_path, name, words):
    """A name that is not there, or is no function, is a clear error."""
    with pytest.raises(UsageError, match=words):
        _python(tmp_path, name)


def test_missing_files_and_packages_are_refused(tmp_path):
    """A file or package that is not there is a clear error."""
    with pytest.raises(UsageError, match="does not exist"):
        _subject(tmp_path, PYTHON.format(name="f", more="").replace("code.py", "nowhere.py"))
    with pytest.raises(UsageError, match="Install it"):
        _subject(
            tmp_path,
            PYTHON.format(name="f", more="").replace("./code.py", "no_such_package_xyz.m"),
            Trust(packages=("no_such_package_xyz",)),
        )


def test_a_package_that_lacks_another_names_that_one(tmp_path, monkeypatch):
    """Of a package that is there and imports one that is not, the latter is named as missing."""
    package = tmp_path / "package_of_ours"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "ops.py").write_text("import no_such_package_xyz.part\n")
    (package / "raises.py").write_text("raise ModuleNotFoundError('not built')\n")
    monkeypatch.syspath_prepend(tmp_path)
    text, trust = PYTHON.format(name="f", more=""), Trust(packages=("package_of_ours",))
    with pytest.raises(UsageError) as caught:
        _subject(tmp_path, text.replace("./code.py", "package_of_ours.ops"), trust)
    assert "the import of module='package_of_ours.ops' failed because 'no_such_package_xyz' is missing" in str(
        caught.value
    )
    with pytest.raises(UsageError, match=r"'package_of_ours\.raises' failed because a module is missing \(not built\)"):
        _subject(tmp_path, text.replace("./code.py", "package_of_ours.raises"), trust)
    with pytest.raises(UsageError, match=r"module='package_of_ours\.nowhere' is not there"):
        _subject(tmp_path, text.replace("./code.py", "package_of_ours.nowhere"), trust)


def test_packages_can_be_subjects(tmp_path):
    """A trusted package's function is imported."""
    text = HEAD + "inputs: {input: {}}\nfunction: {python: 'torch:sin'}\n"
    assert _subject(tmp_path, text, Trust(packages=("torch",))).function(_tensors(input=0.5))[0].item() == math.sin(0.5)


def test_untrusted_code_never_runs(tmp_path):
    """Code outside what is trusted is refused before it is read, and the message says what would trust it."""
    (tmp_path / "cases").mkdir()
    code = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\ndef power(x, a): return x\n"
    (tmp_path / "evil.py").write_text(code)
    text = PYTHON.format(name="power", more="").replace("./code.py", "../evil.py")
    with pytest.raises(UntrustedError, match=r"--trust .*\[tool.harness\]"):
        _subject(tmp_path / "cases", text)
    (tmp_path / "cases" / "link.py").symlink_to(tmp_path / "evil.py")
    with pytest.raises(UntrustedError):
        _subject(tmp_path / "cases", text.replace("../evil.py", "./link.py"))
    assert not (tmp_path / "ran").exists()


def test_files_load_once_under_a_name_of_their_own(tmp_path):
    """Two subjects of one file share its module, and files of one name in two folders do not."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    first = _python(folders[0], "power").function
    second = _python(folders[0], "power").function
    other = _python(folders[1], "power").function
    tensors = _tensors(x=[1.0, 2.0], a=[1.0, 1.0])
    modules = {id(function.__closure__) for function in (first, second, other)}
    assert len(modules) == 3
    assert first(tensors)[0].tolist() == second(tensors)[0].tolist() == other(tensors)[0].tolist()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's compiler imports deprecated parts of torch
def test_expression_subjects_compile_without_a_break(tmp_path):
    """torch.compile traces an expression subject as one graph."""
    text = HEAD + "dims: {n: 2}\ninputs: {x: {shape: [n]}}\nlet: {s: x / n}\nfunction: sum(s * s) + minimum(s[0], 1)\n"
    subject = _subject(tmp_path, text)
    tensors = _tensors(x=[1.0, 2.0, 3.0])
    compiled = torch.compile(lambda values: subject.function(values), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(tensors), subject.function(tensors))
