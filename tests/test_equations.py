"""docs/equations.md names functions that cite their source, and tests that exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| (.+?) \| .+ \| `(\S+\.py):(\S+)` \| `(\S+\.py):(\S+)` \|$", re.M)
ROWS = ROW.findall((ROOT / "docs" / "equations.md").read_text())


def defined(file, name):
    """Return the node of a function, class or method."""
    node = ast.parse((ROOT / file).read_text())
    for part in name.split("."):
        kinds = (ast.FunctionDef, ast.ClassDef)
        node = next(n for n in node.body if isinstance(n, kinds) and n.name == part)
    return node


def cited(text):
    """Return {(kind, number)} of a docstring's equations, sections and the like."""
    found = set()
    for kind, numbers in re.findall(
        r"\b(Eq|Section|Fig|Alg|Table)[a-z]*\.? ((?:[\d.]*\d(?:, | and | to )?)+)", text, re.I
    ):
        ends = re.findall(r"[\d.]*\d", numbers)
        if " to " in numbers:
            head, _, first = ends[0].rpartition(".")
            last = int(ends[-1].rpartition(".")[2])
            ends = [f"{head}.{n}".lstrip(".") for n in range(int(first), last + 1)]
        found |= {(kind.lower(), end) for end in ends}
    return found


def test_every_row_is_read():
    lines = (ROOT / "docs" / "equations.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|") and ".py" in line]
    assert len(ROWS) == len(rows) > 25
    assert {("eq", str(n)) for n in range(2, 7)} <= {c for row in ROWS for c in cited(row[0])}


@pytest.mark.parametrize(("source", "file", "name", "test_file", "test"), ROWS)
def test_function_cites_its_source_and_its_test_exists(source, file, name, test_file, test):
    wanted = cited(source)
    assert wanted and wanted <= cited(ast.get_docstring(defined(file, name)))
    assert defined(test_file, test)
