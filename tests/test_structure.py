"""The shape of the code: layers, circles, sizes, and a test for each module."""

import ast
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("utils", "models", "pipeline", "reproduction")  # each imports those before it
PAPERS = ("maskrcnn", "trackrcnn", "motsnet", "pixel_embeddings", "remots", "usc_mots", "best")
LONGEST_FILE, LONGEST_FUNCTION = 300, 40
ALLOWED = 330, 5  # lines of a file at most; functions that are longer than they should be


def tracked(*patterns):
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True
    )
    return [name for name in listed.stdout.split() if (ROOT / name).exists()]


FILES = [name for name in tracked("*.py") if not name.startswith("tests/")]
MODULES = {name[:-3].replace("/", ".").removesuffix(".__init__"): name for name in FILES}


def imports(name):
    """Return the modules of the project that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= parts or {node.module}
    return found & set(MODULES)


def test_imports_go_one_way_and_in_no_circle():
    graph = {module: imports(name) - {module} for module, name in MODULES.items()}
    for module, others in graph.items():
        layer = module.split(".")[0]
        if layer in LAYERS:
            below = LAYERS[: LAYERS.index(layer) + 1]
            assert all(other.split(".")[0] in below for other in others), (module, others)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("paper", PAPERS)
def test_papers_do_not_import_each_other(paper):
    for module, name in MODULES.items():
        if module.startswith(f"models.{paper}."):
            others = {o.split(".")[1] for o in imports(name) if o.startswith("models.")}
            assert not (others & set(PAPERS)) - {paper}, module


def test_a_file_holds_one_concept_and_a_function_does_one_thing():
    long_functions = []
    for name in FILES:
        text = (ROOT / name).read_text()
        assert text.count("\n") <= ALLOWED[0], name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = node.end_lineno - node.lineno + 1
                long_functions += [f"{name}:{node.name}"] * (length > LONGEST_FUNCTION)
    assert len(long_functions) <= ALLOWED[1], long_functions


def test_every_module_is_named_by_a_test():
    named = set()
    for name in tracked("tests/test_*.py", "tests/**/test_*.py"):
        named |= imports(name)
    layered = {m for m, name in MODULES.items() if name.startswith(LAYERS)}
    packages = {m for m in layered if MODULES[m].endswith("__init__.py")}
    assert not layered - packages - named
