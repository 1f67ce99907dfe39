"""What a config can name, found in the files and read from their source, with nothing imported.

A task, a backbone, a source or a method is what is named as its file: `keras_hub` in
backbones/text/keras_hub.py, `TextClassification` in tasks/text/text_classification.py. There is no
list to keep.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import pathlib
import textwrap
from collections.abc import Callable, Mapping
from typing import Any

from tfft.errors import ConfigError

PACKAGE = pathlib.Path(__file__).parents[1]
# What is found in a folder: classes, or functions that return what they make.
FOLDERS = {
    "tasks": "Task",
    "backbones": "Backbone",
    "data/sources": "Source",
    "methods": "Method",
    "evaluation/thresholds": "Threshold",
    "training/schedules": "Schedule",
    "training/optimizers": "Optimizer",
    "training/regularizers": "Regularizer",
    "training/averaging": "Averaging",
}
CLASSES = ("Task", "Schedule", "Optimizer", "Regularizer", "Averaging")
# Others, and their kinds.
NAMED = {
    "train": ("api.py", "verb"),
    "Stage": ("training/stage.py", "stage"),
    "GradualUnfreezing": ("training/stage.py", "stage"),
    "Batching": ("training/batching.py", "batching"),
    "EarlyStopping": ("training/early_stopping.py", "earlystopping"),
    "FeatureCache": ("training/feature_cache/placement.py", "featurecache"),
    "Execution": ("training/execution.py", "execution"),
}
# What classes of the folders inherit from. A config can bind their parameters, for all that inherit
# from them, and not refer to them.
BASES = ("tasks/classification.py",)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter as its signature has it.

    Attributes:
      annotation: as written, None without one.
      default: as written, None for a required parameter.
    """

    name: str
    annotation: str | None = None
    default: str | None = None

    @property
    def literal(self) -> tuple[Any, ...]:
        """The default's value in a tuple; empty when it is none, or no literal."""
        try:
            return (ast.literal_eval(self.default),) if self.default is not None else ()
        except (ValueError, SyntaxError):
            return ()

    @functools.cached_property
    def made_by(self) -> tuple[str, ...]:
        """The names that a default of `Name()`, or of a tuple of these, calls; else empty."""
        try:
            return tuple(_called(ast.parse(self.default or "()", mode="eval").body))
        except SyntaxError:  # what an imported object looks like
            return ()


@dataclasses.dataclass(frozen=True)
class Configurable:
    """A class or function that a config can bind and refer to.

    Attributes:
      kind: "task", "backbone", "source", "method", "threshold", "schedule", "optimizer",
        "regularizer", "averaging", "stage" or another part of a stage, "verb", "base" for a class
        that others inherit from, or "" for another.
      parameters: by name, in the order of the signature.
      doc: its docstring.
      where: file and line.
      load: imports and returns it.
      module: a person's own that it is in, "" for the package's.
      bases: the names of those of kind "base" that it inherits from.
    """

    name: str
    kind: str
    parameters: Mapping[str, Parameter]
    doc: str
    where: str
    load: Callable[[], Any]
    module: str = ""
    bases: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        return self.doc.strip().partition("\n")[0]

    def meanings(self) -> dict[str, str]:
        """Returns what the docstring's Args say of each parameter."""
        found: dict[str, str] = {}
        body = self.doc.partition("Args:\n")[2].partition("\n\n")[0]
        last: list[str] = []
        for line in textwrap.dedent(body).splitlines():
            names, colon, text = line.partition(":")
            if colon and not line.startswith(" "):
                last = [name.strip() for name in names.split(",")]
                found |= {name: text.strip() for name in last}
            else:
                found |= {name: f"{found[name]} {line.strip()}" for name in last}
        return found


def configurables() -> dict[str, Configurable]:
    """Returns all that the package offers to a config, by name.

    Raises:
      ConfigError: two files define the same name.
    """
    bases: dict[str, Configurable] = {}
    for file in BASES:
        for node in _public(PACKAGE / file):
            kind = "base" if isinstance(node, ast.ClassDef) else ""
            bases[node.name] = _read(node, PACKAGE / file, kind, bases=bases)
    found = {name: entry for name, entry in bases.items() if entry.kind == "base"}
    for folder, made in FOLDERS.items():
        for path in sorted((PACKAGE / folder).rglob("[!_]*.py"), key=lambda path: path.stem):
            for node in _public(path):
                if node.name in bases:
                    continue
                if _is_named_as(node, path) and _is_of(node, made):
                    _add(found, _read(node, path, made.lower(), bases=bases | found))
    for name, (file, kind) in NAMED.items():
        for node in _public(PACKAGE / file):
            if node.name == name:
                _add(found, _read(node, PACKAGE / file, kind))
    return found


def of_module(
    path: pathlib.Path, module: str, known: Mapping[str, Configurable] | None = None
) -> dict[str, Configurable]:
    """Returns the public classes and functions of a person's own file, by full name.

    Args:
      path: of the file.
      module: its name.
      known: what its classes may inherit from.

    Raises:
      ConfigError: it is no Python.
    """
    bases, found = dict(known or {}), {}
    try:
        nodes = _public(path)
    except SyntaxError as error:
        raise ConfigError(
            f"{module} is no Python: {error.msg}.", set_in=f"{path}:{error.lineno}"
        ) from error
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        # ValueError: no UTF-8, or a null character
        reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or error
        raise ConfigError(
            f"{module} is no Python that can be read: {reason}.", set_in=str(path)
        ) from None
    for node in nodes:
        entry = _read(node, path, _own_kind(node, bases), module, bases)
        found[entry.name] = bases[node.name] = entry
    return found


def full_name(name: str, known: Mapping[str, Any]) -> str:
    """Returns the one known name that ends with this one; this one when none does, or several."""
    if name in known:
        return name
    found = [full for full in known if full.endswith(f".{name}")]
    return found[0] if len(found) == 1 else name


def of_objects(objects: Mapping[str, Any]) -> dict[str, Configurable]:
    """Returns configurables for classes and functions that are imported already."""
    return {
        name: target if isinstance(target, Configurable) else _inspect(name, target)
        for name, target in objects.items()
    }


def _add(found: dict[str, Configurable], entry: Configurable) -> None:
    if entry.name in found:
        raise ConfigError(
            f"two files define {entry.name}.",
            set_in=f"{found[entry.name].where} and {entry.where}",
            valid="one name for one thing",
        )
    found[entry.name] = entry


Definition = ast.ClassDef | ast.FunctionDef


def _public(path: pathlib.Path) -> list[Definition]:
    tree = ast.parse(path.read_text("utf-8"))
    return [
        node for node in tree.body if isinstance(node, Definition) and not node.name.startswith("_")
    ]


def _is_named_as(node: Definition, path: pathlib.Path) -> bool:
    """Compares without case and underscores: TextClassification is text_classification."""
    return node.name.replace("_", "").lower() == path.stem.replace("_", "").lower()


def _is_of(node: Definition, made: str) -> bool:
    """Returns True for a class of such a kind, or a function that returns one of the others.

    A task is a class that sets `name`, whatever it inherits from.
    """
    if made in CLASSES:
        if not isinstance(node, ast.ClassDef):
            return False
        return _sets_name(node) if made == "Task" else made in map(_last, node.bases)
    found = node.returns if isinstance(node, ast.FunctionDef) else None
    return found is not None and ast.unparse(found) == made


def _sets_name(node: ast.ClassDef) -> bool:
    """Returns True for a class with an attribute `name` and its value."""
    values = [each for each in node.body if isinstance(each, ast.Assign | ast.AnnAssign)]
    targets = (each.targets if isinstance(each, ast.Assign) else [each.target] for each in values)
    return any(ast.unparse(target) == "name" for each in targets for target in each)


def _own_kind(node: Definition, bases: Mapping[str, Configurable]) -> str:
    """Returns what a person's own class inherits, or what a function says that it returns."""
    kinds = {made: made.lower() for made in FOLDERS.values()}
    if isinstance(node, ast.ClassDef):
        kinds |= {name: entry.kind.replace("base", "task") for name, entry in bases.items()}
        return next((kinds[base] for base in map(_last, node.bases) if kinds.get(base)), "")
    return kinds.get(_last(node.returns), "") if node.returns else ""


def _last(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def _read(
    node: Definition,
    path: pathlib.Path,
    kind: str,
    own: str = "",
    bases: Mapping[str, Configurable] | None = None,
) -> Configurable:
    module = own or ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)

    def load() -> Any:
        return getattr(importlib.import_module(module), node.name)

    if isinstance(node, ast.ClassDef):
        parameters = _class_parameters(node, bases or {})
    else:
        parameters = _arguments(node)
    if parameters is None:  # the constructor is inherited: only an import can tell
        parameters = _signature(load())
    where = f"{path if own else path.relative_to(PACKAGE.parent)}:{node.lineno}"
    doc, name = _doc(node, bases or {}), f"{own}.{node.name}" if own else node.name
    above = _bases(node, bases or {})
    return Configurable(name, kind, {p.name: p for p in parameters}, doc, where, load, own, above)


def _bases(node: Definition, known: Mapping[str, Configurable]) -> tuple[str, ...]:
    """Returns the names of the base classes that a class inherits from, directly or not."""
    parents = [known[name] for name in map(_last, getattr(node, "bases", ())) if name in known]
    names = (
        name
        for parent in parents
        for name in ([*parent.bases, parent.name] if parent.kind == "base" else parent.bases)
    )
    return tuple(dict.fromkeys(names))


def _doc(node: Definition, bases: Mapping[str, Configurable]) -> str:
    """Returns a docstring, with what its base says of the arguments where it has no own."""
    doc = ast.get_docstring(node) or ""
    above = [bases[base] for base in map(_last, getattr(node, "bases", ())) if base in bases]
    _, heading, inherited = above[0].doc.partition("Args:\n") if above else ("", "", "")
    return doc if "Args:\n" in doc or not inherited else f"{doc}\n\n{heading}{inherited}"


def _class_parameters(
    node: ast.ClassDef, bases: Mapping[str, Configurable]
) -> list[Parameter] | None:
    """Returns a constructor's parameters, a dataclass's fields; None when it is inherited.

    Those of a base that is known count where the class has no constructor, or passes keywords on.
    """
    known = [bases[base] for base in map(_last, node.bases) if base in bases]
    inherited = list(known[0].parameters.values()) if known else None
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            own = _arguments(member)[1:]
            further = inherited if member.args.kwarg and inherited else []
            return [*own, *(p for p in further if p.name not in {q.name for q in own})]
    if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        fields = [
            member
            for member in node.body
            if isinstance(member, ast.AnnAssign)
            and "ClassVar" not in ast.unparse(member.annotation)
        ]
        own = [
            Parameter(ast.unparse(f.target), ast.unparse(f.annotation), _source(f.value))
            for f in fields
        ]
        return [*{p.name: p for p in [*(inherited or []), *own]}.values()]
    return inherited if node.bases else []


def _arguments(node: ast.FunctionDef) -> list[Parameter]:
    plain = [*node.args.posonlyargs, *node.args.args]
    without: list[ast.expr | None] = [None] * (len(plain) - len(node.args.defaults))
    pairs = [
        *zip(plain, [*without, *node.args.defaults], strict=True),
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ]
    return [Parameter(a.arg, _source(a.annotation), _source(default)) for a, default in pairs]


def _source(node: ast.expr | None) -> str | None:
    return None if node is None else ast.unparse(node)


def _called(node: ast.expr) -> list[str]:
    """Returns the names of calls without arguments, of one or of a tuple of them."""
    calls = node.elts if isinstance(node, ast.Tuple) else [node]
    plain = [
        each.func.id
        for each in calls
        if isinstance(each, ast.Call)
        and isinstance(each.func, ast.Name)
        and not (each.args or each.keywords)
    ]
    return plain if len(plain) == len(calls) else []


def _inspect(name: str, target: Any) -> Configurable:
    parameters = {parameter.name: parameter for parameter in _signature(target)}
    where = getattr(target, "__module__", "")
    return Configurable(name, "", parameters, inspect.getdoc(target) or "", where, lambda: target)


def _signature(target: Any) -> list[Parameter]:
    empty = inspect.Parameter.empty
    found = []
    for parameter in inspect.signature(target).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        kind = parameter.annotation
        text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
        default = None if parameter.default is empty else repr(parameter.default)
        found.append(Parameter(parameter.name, None if kind is empty else text, default))
    return found
