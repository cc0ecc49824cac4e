"""Loading: every fault of every file in one message each, at its line and column; good files give cases."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from harness.case.load import load_cases
from harness.errors import CaseFileError, NothingToRunError, UsageError


def test_a_good_file_loads(tmp_path, small, good):
    """A correct file gives its case with the line it starts at, and the case can be pickled."""
    (tmp_path / "a.yaml").write_text("# a comment\n" + good + "---\n" + small)
    cases = load_cases([tmp_path])
    assert [(case.id, case.line) for case in cases] == [("rss", 2), ("square", 13)]
    assert pickle.loads(pickle.dumps(cases)) == cases


def test_folders_are_searched_and_files_taken_once(tmp_path, small):
    """Folders are searched at any depth, for both suffixes, not in hidden folders; a file named twice counts once."""
    for name in ("a/b/one.yaml", "two.yml", ".hidden/three.yaml", "four.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(small.replace("square", path.stem))
    cases = load_cases([tmp_path, tmp_path / "two.yml"])
    assert sorted(case.id for case in cases) == ["one", "two"]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("title:", "titel:", "2:1: unknown key 'titel'; did you mean 'title'?"),
        ("title: A square\n", "", "1:1: the case lacks the key 'title'"),
        ("title: A square", "title: 3", "2:8: title must be text, not the number 3"),
        (
            "title: A square",
            "title: 2024-01-01",
            "2:8: title must be text, not the date 2024-01-01 (put text in quotes)",
        ),
        (
            "case: square",
            "case: a b",
            "1:7: case must be made of letters, digits, dots, hyphens and _, not the text 'a b'",
        ),
        ("x: {}", "x: {grad: 1}", "4:13: inputs.x.grad must be true or false, not the number 1"),
        ("x: {}", "x: {shape: n}", "4:14: inputs.x.shape must be a list, not the text 'n'"),
        ("x: {}", "x: {shape: [1.5]}", "4:15: inputs.x.shape[0] must be text or a whole number, not the number 1.5"),
        ("x: {}", "x: {shape: [k]}", "4:15: unknown dim 'k'; known are: none"),
        ("x: {}", "x: {shape: [-1]}", "4:15: inputs.x.shape[0] must be at least 0, not the number -1"),
        ("x: {}", "x: {draw: nromal}", "4:13: unknown draw 'nromal'; did you mean 'normal'?"),
        ("x: {}", "x: {draw: spd}", "4:13: the draw 'spd' needs a shape of at least 2 dims, not 0"),
        ("x: {}", "x: {type: complex, draw: positive}", "4:28: a complex input can be drawn normal, uniform or unit"),
        ("x: {}", "x: {shape: [2], draw: unit, away_from: [0]}", "4:42: away_from suits normal, uniform, positive and"),
        ("x: {}", "x: {draw: 'integers(0, 3)', grad: true}", "4:37: the draw 'integers(0, 3)' gives whole numbers"),
        ("x**2", "x**2\ndims: {k: 3}\nbenchmark: {sweep: {k: [1]}}", "7:21: no input's shape has the dim 'k'"),
        ("x**2", "x" * 15_000, "5:11: unknown name 'xxxx"),
        ("x: {}", "x: {margin: 0}", "4:15: inputs.x.margin must be above 0"),
        ("x: {}", "x: {domain: [2, 1]}", "4:15: the domain must go from low to high"),
        ("x: {}", "x: {grad: false}", "3:1: no input is differentiable"),
        ("x: {}", "x: {}\n  cotangent: {}", "5:3: 'cotangent' is a reserved name"),
        ("  x: {}\n", "", "3:1: inputs must be a mapping, not nothing"),
        ("x**2", "x**2 + foo(x)", "5:18: unknown function 'foo'; did you mean 'floor'?"),
        ("x**2", "__import__('os')", "5:11: unknown function '__import__'"),
        ("x**2", '"x + y"', "5:16: unknown name 'y'"),
        ("x**2", ">\n  x +\n  y", "5:11: unknown name 'y'"),
        ("x**2", "{pyhton: a}", "5:12: unknown key 'pyhton'; did you mean 'python'?"),
        ("x**2", "{python: a}", '5:20: function.python must look like "package.module:name"'),
        ("x**2", "{python: 'a:b', x: 1}", "5:27: unknown key 'x'; known keys are: python, loss"),
        ("x**2", "true", "5:11: function must be text, a list or a mapping, not the truth value true"),
        ("x**2", "[]", "5:11: function is an empty list"),
        ("x**2", "x**2\nlet: {a: b, b: x}", "6:10: 'b' is used before it is defined"),
        ("x**2", "x**2\nlet: {x: 2}", "6:7: 'x' is already the name of an input or a dim"),
        ("x**2", "x**2\ngradient: {y: 2*x}", "6:12: unknown input 'y'"),
        ("x**2", "x**2\ngradient: {x: 2*z}", "6:17: unknown name 'z'"),
        ("x**2", "[x, x]\ngradient: {x: 2*x}", "6:15: with several outputs a gradient must use cotangent_0"),
        ("x**2", "x**2\ndims: {n: []}", "6:11: dims.n is empty"),
        ("x**2", "x**2\ndims: {n: [1, 2]}", "6:8: dims.n is a list, but no input's shape has n"),
        (
            "x**2",
            "x**2\nverify: {dtypes: [float46]}",
            "6:19: verify.dtypes[0] must be one of float64, float32, bfloat16, float16",
        ),
        ("x**2", "x**2\nverify: {orders: 2}", "6:18: verify.orders must be a list, not the number 2"),
        ("x**2", "x**2\nbenchmark: {sweep: {n: [1]}}", "6:21: unknown dim 'n'"),
        ("x**2", "x**2\nbenchmark: {against: [analytic]}", "6:23: 'analytic' is asked for"),
        ("x**2", 'x**2\nexpected: {outcome: fail, match: "(", reason: r}', "6:34: expected.match is not a regular"),
        ("x**2", "x**2\nexpected: {outcome: fial, match: a, reason: r}", "6:21: expected.outcome must be one of fail"),
        ("x**2", "x**2\ntitle: again", "6:1: duplicate key 'title'; it stands in line 2 already"),
        ("x**2", "x**2\n2: 3", "6:1: a key must be text, not '2'"),
        ("x**2", "x**2\n<<: {a: 1}", "6:1: merge keys (<<) are not allowed"),
        ("x**2", "!!python/object:os.system x", "5:11: the tag 'python/object:os.system' is not allowed"),
        ("x**2", "!mine x", "5:11: the tag '!mine' is not allowed"),
        ("  x: {}", "\tx: {}", "4:1: a tab indents this line; indent with spaces"),
        ("x**2", "[x", "6:1: this is not YAML"),
        ("x**2", "*q", "5:11: this is not YAML: found undefined alias 'q'"),
        ("A square", "a: b: c", "2:9: this is not YAML: mapping values are not allowed here"),
    ],
)
def test_each_fault_is_one_message_at_its_place(faults, small, old, new, fault):
    """One mistake in a good file gives exactly one fault, where it is, in plain words."""
    assert old in small
    found = faults(small.replace(old, new, 1))
    assert len(found) == 1, found
    assert found[0].startswith(fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "1:1: the file holds no case"),
        ("# nothing\n", "1:1: the file holds no case"),
        ("- a\n", "1:1: a case must be a mapping"),
        ("\n3\n", "2:1: a case must be a mapping"),
        (b"case: \xff\n", "1:7: the file is not UTF-8 text"),
        ("case: a\0b", "1:1: this is not YAML: unacceptable character"),
        ("a: " + "[" * 5000, "1:1: the file is nested too deeply"),
        ("a: " + "[" * 80 + "]" * 80, "1:1: the file expands to more than"),
        ("a: &a [*a]\n", "1:1: the file expands to more than"),
    ],
)
def test_unreadable_files_are_faults(faults, text, fault):
    """A file that holds no case at all is one fault too."""
    found = faults(text)
    assert len(found) == 1, found
    assert found[0].startswith(fault)


def test_billion_laughs_is_one_fault(faults):
    """Aliases that expand without bound are refused at a bound, not followed."""
    lines = ['a0: &a0 ["lol", "lol"]'] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    found = faults("\n".join(lines))
    assert len(found) == 1
    assert "use fewer aliases" in found[0]


def test_aliases_in_moderation_are_fine(tmp_path, small):
    """An anchor used twice is ordinary YAML."""
    (tmp_path / "a.yaml").write_text(small.replace("x: {}", "x: &scalar {draw: positive}\n  y: *scalar"))
    assert load_cases([tmp_path])[0].model.inputs["y"].draw == "positive"


def test_a_huge_expression_is_one_clear_message(faults, small):
    """A 10 MB expression is refused by the file's size; one just below that by its length."""
    assert faults(small.replace("x**2", "x + " * 2_500_000 + "x"))[0].startswith("1:1: the file has 10,0")
    found = faults(small.replace("x**2", "x + " * 10_000 + "x"))
    assert found == ["5:11: the expression has 40,001 characters; at most 20,000 are allowed"]


def test_all_faults_of_all_files_come_at_once(tmp_path, small, good):
    """Faults of several documents and files are reported together, in the files' order."""
    (tmp_path / "a.yaml").write_text(small.replace("x**2", "sni(x)") + "---\n" + small.replace("title", "titel"))
    (tmp_path / "b.yaml").write_text("a: [\n")
    (tmp_path / "c.yaml").write_text(good.replace("y - X @ w", "y - X @ v").replace("r @ r", "r @ q"))
    with pytest.raises(CaseFileError) as caught:
        load_cases([tmp_path])
    places = [(fault.path.name, fault.line) for fault in caught.value.faults]
    assert places == [("a.yaml", 5), ("a.yaml", 8), ("b.yaml", 2), ("c.yaml", 8), ("c.yaml", 9)]
    assert str(caught.value).splitlines()[0].startswith(f"{tmp_path / 'a.yaml'}:5:11: unknown function 'sni'")


def test_a_wrong_leaf_does_not_hide_other_faults(faults, small):
    """A wrong `verify` section and a wrong expression are reported together."""
    found = faults(small.replace("x**2", "sni(x)\nverify: {orders: 2}"))
    assert [fault.split(":")[0] for fault in found] == ["5", "6"]


def test_duplicate_ids_are_faults_over_all_files(tmp_path, small, good):
    """A case id may stand only once in all files together."""
    (tmp_path / "a.yaml").write_text(small)
    (tmp_path / "b.yaml").write_text(good + "---\n" + small)
    with pytest.raises(CaseFileError) as caught:
        load_cases([tmp_path])
    (fault,) = caught.value.faults
    assert (fault.path.name, fault.line) == ("b.yaml", 12)
    assert fault.message.startswith("duplicate case id 'square'")


def test_numbers_may_stand_as_expressions(tmp_path, small):
    """`gradient: {x: 1}` means the expression 1."""
    (tmp_path / "a.yaml").write_text(small.replace("x**2", "x\nlet: {k: 0.5}\ngradient: {x: 1}"))
    model = load_cases([tmp_path])[0].model
    assert model.let == {"k": "0.5"}
    assert model.gradient == {"x": "1"}


def test_python_subjects_may_have_parameters_unknown_here(tmp_path, small):
    """What a module's parameters are called is not known before it runs, so their names are not faults."""
    (tmp_path / "a.yaml").write_text(small.replace("x**2", '{python: "m:f"}\nconverge: [{start: {weight: zeros}}]'))
    assert load_cases([tmp_path])[0].id == "square"


def test_nothing_there_is_its_own_error(tmp_path):
    """An empty folder is nothing to run; a path that does not exist is a misuse."""
    with pytest.raises(NothingToRunError, match="Cannot find a case"):
        load_cases([tmp_path])
    with pytest.raises(UsageError, match="does not exist"):
        load_cases([tmp_path / "nowhere"])


def test_loading_does_not_import_torch():
    """Reading case files needs no torch, so that the command line answers at once."""
    code = "import sys, harness.case.load, harness.case.expression; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_shipped_cases_load():
    """Every case of the project's own folder is free of faults."""
    assert load_cases([Path(__file__).parents[2] / "cases"])
