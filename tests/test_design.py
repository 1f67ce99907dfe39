"""The design's rules, read off the code; each rule is shown to fail on a bad tree."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "tfft"
# From the top down: a module may import its own layer and those below.
LAYERS = (
    ("__main__", "command_line"),
    ("listing", "config", "strict", "operative", "composition", "annotations", "catalogue"),
    ("run",),
    ("tasks", "backbones", "sources", "methods", "testing"),
    ("job", "loop", "model", "stage", "pipeline", "workdir", "report", "export"),
    ("preprocess", "metrics", "fetch", "console", "plots"),
    ("errors",),
)
LEVEL = {name: number for number, layer in enumerate(LAYERS) for name in layer}
# `run` reads a person's files and wraps a person's dataset; tasks and sources know no verbs.
MOST_LINES, MOST_FUNCTION_LINES = 400, 60


def imports(path, package):
    """Yields the modules that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path, package):
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def broken_rules(package):
    """Returns a line for each rule that a tree breaks."""
    broken, edges = [], {}
    for path in sorted(package.rglob("*.py")):
        own = name_of(path, package)
        top = own.split(".")[0]
        text = path.read_text()
        if text.count("\n") > MOST_LINES:
            broken.append(f"{own} has more than {MOST_LINES} lines")
        if path.name == "utils.py":
            broken.append(f"{own}: a file called utils says nothing")
        if top != "__init__" and top not in LEVEL:
            broken.append(f"{own} is in no layer")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                size = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                if size > MOST_FUNCTION_LINES:
                    broken.append(f"{own}.{node.name} has {size} lines")
        for module in imports(path, package):
            if module.split(".")[0] == "gin" and own != "config":
                broken.append(f"{own} imports gin")
            parts = module.split(".")
            if parts[0] != "tfft" or len(parts) < 2 or parts[1] not in LEVEL:
                continue
            edges.setdefault(own, set()).add(".".join(parts[1:]))
            if top in LEVEL and LEVEL[parts[1]] < LEVEL[top]:
                broken.append(f"{own} imports {parts[1]}, which is above it")
    for one, targets in edges.items():
        for two in targets:
            if one in edges.get(two, ()) and one < two:
                broken.append(f"{one} and {two} import each other")
    return broken


def test_the_package_keeps_the_rules():
    assert broken_rules(PACKAGE) == []


@pytest.mark.parametrize(
    "name,text,line",
    [
        ("model.py", "from tfft import run\n", "model imports run, which is above it"),
        ("model.py", "def f():\n    import tfft.tasks\n", "model imports tasks, which is above it"),
        ("stage.py", "import gin\n", "stage imports gin"),
        ("utils.py", "", "utils: a file called utils says nothing"),
        ("model.py", "x = 1\n" * 401, "model has more than 400 lines"),
        ("model.py", "def f():\n" + "    x = 1\n" * 61, "model.f has 61 lines"),
        ("other.py", "", "other is in no layer"),
    ],
)
def test_each_rule_can_fail(tmp_path, name, text, line):
    (tmp_path / name).write_text(text)
    assert line in broken_rules(tmp_path)


def test_mutual_imports_are_found(tmp_path):
    (tmp_path / "model.py").write_text("from tfft import stage\n")
    (tmp_path / "stage.py").write_text("from tfft.model import x\n")
    assert "model and stage import each other" in broken_rules(tmp_path)


def test_import_tfft_leaves_tensorflow_alone():
    code = "import sys, tfft; assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("task", sorted(p.stem for p in (PACKAGE / "tasks").glob("[a-z]*.py")))
def test_every_task_has_a_config_a_test_and_a_page(task):
    assert (ROOT / f"configs/tasks/{task}.gin").is_file()
    assert (ROOT / f"tests/tasks/test_{task}.py").is_file()
    assert (ROOT / f"docs/{task}.md").is_file()
