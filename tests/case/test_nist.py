"""NIST's data files: what is read, and what is said of a file that is not of their form."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.case.nist import MAX_BYTES, read_nist
from harness.errors import UsageError

DATA = Path(__file__).parents[2] / "cases" / "nist" / "data"
LINES = (
    "NIST/ITL StRD",
    "Dataset Name:  Line",
    "File Format:   ASCII",
    "               Starting Values   (lines 9 to 10)",
    "               Certified Values  (lines 9 to 12)",
    "               Data              (lines 15 to 17)",
    "",
    "        Start 1     Start 2           Parameter     Standard Deviation",
    "  b1 =   500         250           2.3894212918E+02  2.7070075241E+00",
    "  b2 =    -0.5       .25          -5.5015643181E-04  7.2668688436E-06",
    "",
    "Residual Sum of Squares:                    1.2455138894E-01",
    "",
    "Data:   y               x",
    "      10.07E0      77.6E0",
    "      14.73E0     114.9",
    "     -17.94E0     141.1E+0",
)


def written(folder: Path, *changes: tuple[int, str]) -> Path:
    """A data file with some of its lines (counted from 1) replaced."""
    lines = list(LINES)
    for number, text in changes:
        lines[number - 1] = text
    path = folder / "Line.dat"
    path.write_text("\n".join(lines) + "\n")
    return path


def told(path: Path) -> str:
    """What is said of a file that cannot be read."""
    with pytest.raises(UsageError) as caught:
        read_nist(path)
    return str(caught.value)


def test_a_file_is_read(tmp_path: Path) -> None:
    """Columns, starts, certified values and the sum of squares come out as they are written, digit by digit."""
    data = read_nist(written(tmp_path))
    assert data.columns == {"y": ("10.07E0", "14.73E0", "-17.94E0"), "x": ("77.6E0", "114.9", "141.1E+0")}
    assert data.parameters == ("b1", "b2")
    assert data.starts == ({"b1": "500", "b2": "-0.5"}, {"b1": "250", "b2": ".25"})
    assert data.certified == {"b1": "2.3894212918E+02", "b2": "-5.5015643181E-04"}
    assert data.residual_sum_of_squares == "1.2455138894E-01"
    assert (data.response, data.rows) == ("y", 3)


def test_exponents_of_fortran_are_read(tmp_path: Path) -> None:
    """1.5D+02 is 1.5E+02, wherever a number stands."""
    changed = [(number, LINES[number - 1].replace("E", "D")) for number in (9, 10, 15, 17)]
    data = read_nist(written(tmp_path, *changed, (12, "Residual Sum of Squares:    1.2455138894d-01")))
    assert data.columns == {"y": ("10.07E0", "14.73E0", "-17.94E0"), "x": ("77.6E0", "114.9", "141.1E+0")}
    assert data.certified == {"b1": "2.3894212918E+02", "b2": "-5.5015643181E-04"}
    assert data.residual_sum_of_squares == "1.2455138894e-01"


def test_line_ends_tabs_and_blanks_do_not_matter(tmp_path: Path) -> None:
    """A file that went through another system, with CRLF, tabs and blanks at line ends, reads the same."""
    plain = read_nist(written(tmp_path))
    text = "\r\n".join(f"{line.replace('      ', chr(9))}   " for line in LINES)
    (tmp_path / "Line.dat").write_bytes(text.encode())
    assert read_nist(tmp_path / "Line.dat") == plain


@pytest.mark.parametrize("file", sorted(DATA.glob("*.dat")), ids=lambda file: file.stem)
def test_shipped_files_are_read_whole(file: Path) -> None:
    """Every shipped file gives as many observations and parameters as its own header says there are."""
    data, text = read_nist(file), file.read_text()
    assert data.rows == int(text.partition("Number of Observations:")[2].split()[0])
    freedom = int(text.partition("Degrees of Freedom:")[2].split()[0])
    assert data.rows - len(data.parameters) == freedom


@pytest.mark.parametrize(
    ("number", "text", "line", "words"),
    [
        (4, "", 1, '"Starting Values (lines a to b)"'),
        (5, "", 1, '"Certified Values (lines a to b)"'),
        (6, "", 1, '"Data (lines a to b)"'),
        (6, "               Data              (lines 15 to 99)", 6, "end in line 99, but the file ends in line 17"),
        (6, "               Data              (lines 17 to 15)", 1, '"Data (lines a to b)"'),
        (6, "               Data              (lines 0 to 15)", 1, '"Data (lines a to b)"'),
        (10, "  b2 =    0.5    5.5015643181E-04  7.2668688436E-06", 10, "no parameter with two starting values"),
        (10, "  b2 =    0.5    zero   5.5015643181E-04  7.2668688436E-06", 10, "no parameter with two starting values"),
        (12, "Residual Standard Deviation: 1.0E-01", 12, '"Residual Sum of Squares"'),
        (14, "", 15, '"Data: y x"'),
        (16, "      14.73E0", 16, "not 2 finite numbers (y, x)"),
        (16, "      14.73E0     114.9     3", 16, "not 2 finite numbers (y, x)"),
        (17, "      14.73E0     x", 17, "not 2 finite numbers (y, x)"),
        (17, "      1E999       1", 17, "not 2 finite numbers (y, x)"),
        (10, "  b2 =    1E999    1   5.5015643181E-04  7.2668688436E-06", 10, "beyond float64"),
        (10, "  b1 =    0.5    1   5.5015643181E-04  7.2668688436E-06", 10, "a second parameter called b1"),
        (13, "Number of Observations:      4", 13, "4 observations are stated, but the data have 3"),
        (14, "Data:   y      b1", 1, "b1 is a parameter as well as a column"),
        (14, "Data:   y      y", 14, "two columns of one name (y, y)"),
        (17, "      nan         1", 17, "not 2 finite numbers (y, x)"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, number: int, text: str, line: int, words: str) -> None:
    """A line that is missing or is not of NIST's form is named with the file."""
    path = written(tmp_path, (number, text))
    message = told(path)
    assert message.startswith(f"Cannot read {path}:{line}: ")
    assert words in message


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A missing file and a folder are named with what the system says of them."""
    assert "No such file" in told(tmp_path / "None.dat")
    assert "directory" in told(tmp_path)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    """What is far larger than any of NIST's files is not read at all."""
    path = tmp_path / "huge.dat"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    assert "more than" in told(path)


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    """A binary file is a file of another form, not a crash."""
    path = tmp_path / "binary.dat"
    path.write_bytes(bytes(range(256)) * 4)
    assert ":1: " in told(path)
