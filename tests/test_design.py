"""The design's rules, read from the source: what may import what, and what belongs to a task.

Each rule is a function from a tree of files to a list of what breaks it, so that the rules
themselves are tested on small trees that break them.
"""

import ast
import configparser
import graphlib
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "tfft"
# From the top to the bottom: a folder, or a module of the top, imports from itself and from those
# below it.
ORDER = (
    *("cli", "config", "api", "testing", "runs", "reports", "export", "evaluation", "training"),
    *("tasks", "methods", "backbones", "data", "preprocessing", "losses", "layers", "baselines"),
    *("metrics", "storage", "argument_checks", "errors"),
)
# A task never names a backbone, and the other way round; what they share is in backbones/base.py.
SIBLINGS = {"tasks", "methods", "backbones"}
SHARED = ("backbones.base",)
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
MOST_AT_THE_TOP, MOST_IN_A_FOLDER = 22, 20


def modules(package: pathlib.Path) -> dict[str, pathlib.Path]:
    """Returns files by the name of their module below the package: "sources.files"."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def addresses(path: pathlib.Path, name: str) -> Iterator[tuple[str, int]]:
    """Yields every dotted name that a file imports, within functions too, and its line."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = f"tfft.{package}".strip(".").split(".")
                base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [base])])
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, node.lineno


def imports(package: pathlib.Path) -> dict[str, dict[str, int]]:
    """Returns for each module the modules of the package that it imports, with the line."""
    known = modules(package)
    found: dict[str, dict[str, int]] = {name: {} for name in known}
    for name, path in known.items():
        for address, line in addresses(path, name):
            if address.partition(".")[0] != "tfft":
                continue
            target = address.partition(".")[2]
            while target and target not in known:  # a name within a module
                target = target.rpartition(".")[0]
            if target != name:
                found[name].setdefault(target, line)
    return found


def back_edges(package: pathlib.Path) -> list[str]:
    """Returns modules without a place, imports that point up, and siblings that meet."""
    tops = {name.partition(".")[0] for name in modules(package)} - {"", "__main__"}
    found = [f"{top} has no place in the order" for top in sorted(tops - set(ORDER))]
    for name, targets in imports(package).items():
        here = name.partition(".")[0]
        for target, line in targets.items():
            there = target.partition(".")[0]
            if here == there or here not in ORDER:
                continue
            up = not there or (there in ORDER and ORDER.index(there) < ORDER.index(here))
            meet = {here, there} <= SIBLINGS and target not in SHARED
            if up or meet:
                found.append(f"{name}:{line} imports {target or 'the package'}")
    return found


def cycles(package: pathlib.Path) -> list[str]:
    """Returns a chain of modules that import each other."""
    graph = {name: set(targets) for name, targets in imports(package).items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def gin_importers(package: pathlib.Path) -> list[str]:
    """Returns the modules that import gin."""
    return [
        name
        for name, path in modules(package).items()
        if any(address.partition(".")[0] == "gin" for address, _ in addresses(path, name))
    ]


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Returns the number of lines of a function's body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def oversized(*folders: pathlib.Path) -> list[str]:
    """Returns files and functions that are too long, and files with a name that says nothing."""
    found = []
    for path in (path for folder in folders for path in sorted(folder.rglob("*.py"))):
        text = path.read_text("utf-8")
        lines = len(text.splitlines())
        if lines > LONGEST_FILE:
            found.append(f"{path.name} has {lines} lines")
        if path.stem in ("utils", "util", "helpers", "common", "misc"):
            found.append(f"{path.name} says nothing")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = length(node)
                if body > LONGEST_FUNCTION:
                    found.append(f"{path.name}:{node.lineno} {node.name} has {body} lines")
    return found


def crowded(package: pathlib.Path) -> list[str]:
    """Returns folders with too many entries, and those that do not say what belongs there."""
    found = []
    for folder in [package, *sorted(path.parent for path in package.rglob("*/__init__.py"))]:
        entries = [path.stem for path in folder.iterdir() if not path.stem.startswith("__")]
        files = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        if folder == package and len(entries) > MOST_AT_THE_TOP:
            found.append(f"{folder.name} has {len(entries)} entries")
        if folder != package and len(files) > MOST_IN_A_FOLDER:
            found.append(f"{folder.name} has {len(files)} files")
        if not ast.get_docstring(ast.parse((folder / "__init__.py").read_text("utf-8"))):
            found.append(f"{folder.name} has no docstring")
    return found


def sets_name(node: ast.ClassDef) -> bool:
    """Returns True for a class with an attribute `name`."""
    values = [each for each in node.body if isinstance(each, ast.Assign | ast.AnnAssign)]
    return any(ast.unparse(each).startswith(("name:", "name =")) for each in values)


def incomplete_tasks(root: pathlib.Path) -> list[str]:
    """Returns what a task lacks: a config, a test or a page.

    A task is a class that is named as its file and sets `name`.
    """
    found = []
    for path in sorted((root / "tfft/tasks").glob("*/*.py")):
        classes = [
            node
            for node in ast.parse(path.read_text("utf-8")).body
            if isinstance(node, ast.ClassDef)
        ]
        if path.stem.replace("_", "") not in {c.name.lower() for c in classes if sets_name(c)}:
            continue
        wanted = {
            f"configs/tasks/{path.stem}.gin": [root / f"configs/tasks/{path.stem}.gin"],
            f"tests/**/test_{path.stem}.py": list((root / "tests").rglob(f"test_{path.stem}.py")),
            f"docs/**/{path.stem}.md": list((root / "docs").rglob(f"{path.stem}.md")),
        }
        for what, files in wanted.items():
            if not any(file.is_file() for file in files):
                found.append(f"the task {path.stem} lacks {what}")
    return found


def unpacked(root: pathlib.Path) -> list[str]:
    """Returns folders that would be missing in a wheel."""
    settings = configparser.ConfigParser()
    settings.read(root / "setup.cfg", "utf-8")
    listed = set(settings["options"]["packages"].split())
    inside = {path.parent.relative_to(root) for path in (root / "tfft").rglob("*.py")}
    configs = {path.parent.relative_to(root) for path in (root / "configs").rglob("*.gin")}
    wanted = {".".join(path.parts) for path in inside}
    wanted |= {".".join(("tfft", *path.parts)) for path in {pathlib.Path("configs"), *configs}}
    return sorted(f"{name} is not in setup.cfg" for name in wanted - listed)


def test_imports_point_one_way():
    assert back_edges(PACKAGE) == []


def test_no_modules_import_each_other():
    assert cycles(PACKAGE) == []


def test_gin_is_imported_where_it_parses_and_makes():
    assert gin_importers(PACKAGE) == ["config.load", "config.parse"]


def test_sizes_and_names():
    assert oversized(PACKAGE, ROOT / "examples") == []


def test_folders():
    assert crowded(PACKAGE) == []


def test_every_task_is_complete():
    assert incomplete_tasks(ROOT) == []


def test_every_folder_is_in_the_wheel():
    assert unpacked(ROOT) == []


def test_importing_the_package_is_light():
    code = (
        "import sys, tfft; print([m for m in ('tensorflow', 'keras', 'gin') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"


@pytest.fixture
def tree(tmp_path):
    """Returns a function that writes files of a small checkout and returns its folder."""

    def write(**files: str) -> pathlib.Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path = path if path.suffix else path.with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize(
    "text",
    [
        "from tfft import api",
        "from tfft.api import train",
        "import tfft.api",
        "from ..api import train",
        "from .. import api",
        "def late():\n    from tfft.api import train",
        "if TYPE_CHECKING:\n    from tfft.api import train",
        "importlib.import_module('tfft.api')",
    ],
)
def test_a_back_edge_is_found(tree, text):
    root = tree(tfft__runs__run=text, tfft__api="from tfft.errors import E", tfft__errors="")
    (found,) = back_edges(root / "tfft")
    assert found.startswith("runs.run:") and found.endswith("imports api")


def test_a_back_edge_out_of_a_folder_is_found(tree):
    root = tree(tfft__metrics__corpus="from ..reports.report import x", tfft__reports__report="")
    assert back_edges(root / "tfft") == ["metrics.corpus:1 imports reports.report"]


def test_siblings_meet_in_the_base_of_backbones_alone(tree):
    one = "from tfft.backbones.bert import bert\nfrom tfft.backbones.base import Backbone"
    root = tree(tfft__tasks__one=one, tfft__backbones__bert="", tfft__backbones__base="")
    assert back_edges(root / "tfft") == ["tasks.one:1 imports backbones.bert"]


def test_the_package_itself_is_the_top(tree):
    path = tree(tfft__errors="import tfft") / "tfft"
    (path / "__init__.py").write_text("")
    assert back_edges(path) == ["errors:1 imports the package"]


def test_a_cycle_within_a_folder_is_found(tree):
    root = tree(
        tfft__training__stage="def late():\n    import tfft.training.model",
        tfft__training__model="from tfft.training import loop",
        tfft__training__loop="from tfft.training.stage import Stage",
    )
    assert back_edges(root / "tfft") == []
    (found,) = cycles(root / "tfft")
    assert set(found.split(" -> ")) == {f"training.{n}" for n in ("stage", "model", "loop")}


def test_a_second_importer_of_gin_is_found(tree):
    root = tree(
        tfft__config="import gin", tfft__stage="def f():\n    from gin import config", tfft__run=""
    )
    assert gin_importers(root / "tfft") == ["config", "stage"]


def test_what_is_too_long_is_found(tree):
    root = tree(
        tfft__long="x = 1\n" * 401,
        tfft__utils="",
        tfft__function="def f():\n" + "    x = 1\n" * 61,
        tfft__fits='def f():\n    """One."""\n' + "    x = 1\n" * 60 + "y = 1\n" * 338,
    )
    assert oversized(root / "tfft") == [
        "function.py:1 f has 61 lines",
        "long.py has 401 lines",
        "utils.py says nothing",
    ]


def test_a_module_without_a_place_is_found(tree):
    assert back_edges(tree(tfft__surprise="") / "tfft") == ["surprise has no place in the order"]


def test_crowded_folders_are_found(tree):
    files = [f"tfft__data__file_{n}" for n in range(21)] + [f"tfft__top_{n}" for n in range(23)]
    package = tree(**dict.fromkeys(files, "")) / "tfft"
    (package / "__init__.py").write_text('"""All."""')
    (package / "data/__init__.py").write_text("")
    assert crowded(package) == [
        "tfft has 24 entries",
        "data has 21 files",
        "data has no docstring",
    ]


def test_an_incomplete_task_is_found(tree):
    one = "class One:\n    name: ClassVar[str] = 'one'"
    parts = {
        "tfft__tasks__targets__two": "class Two:\n    names = ()",
        "tfft__tasks__text__data": "",
    }
    root = tree(tfft__tasks__text__one=one, tests__tasks__test_one="", **parts)
    assert incomplete_tasks(root) == [
        "the task one lacks configs/tasks/one.gin",
        "the task one lacks docs/**/one.md",
    ]


def test_a_folder_that_the_wheel_lacks_is_found(tree):
    root = tree(tfft__new__one="", tfft__here="")
    (root / "configs/recipes").mkdir(parents=True)
    (root / "configs/recipes/full.gin").write_text("")
    (root / "setup.cfg").write_text("[options]\npackages =\n    tfft\n    tfft.configs\n")
    assert unpacked(root) == [
        "tfft.configs.recipes is not in setup.cfg",
        "tfft.new is not in setup.cfg",
    ]
