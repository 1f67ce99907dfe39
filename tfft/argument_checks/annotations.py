"""Checks values against annotations, which are read as source text.

Nothing is imported to check a config's literal, so that a config with a wrong value is refused
before TensorFlow is loaded: a name that is no built-in type stands for a class, whose values only a
reference (`@name()`) can make. Python values are checked with the names of the annotated function's
module, see `tfft.argument_checks.validated`.
"""

from __future__ import annotations

import ast
import builtins
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

LARGEST = 2**63  # of a whole number: what NumPy and TensorFlow can hold
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "True or False",
    "None": "None",
    "list": "a list in brackets",
    "dict": "a dict in braces",
    "Callable": "a function, as @module.name",
    "PathLike": "a path",
}
_SEQUENCES = {"tuple", "list", "Sequence", "Iterable", "Collection"}
_MAPPINGS = {"dict", "Mapping"}
_CONTAINERS = _SEQUENCES | _MAPPINGS | {"Literal"}

_SIMPLE: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST
    ),
    "float": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value)
    ),
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "None": lambda value: value is None,
}


class Placeholder:
    """Base class of what stands for a value in a config: a reference or a macro."""

    def fits(self, name: str) -> bool:
        """Returns True if the value that it stands for can be of a type.

        Args:
          name: of the type, such as "int", "Literal" or "Task".
        """
        raise NotImplementedError


def is_plain(name: str) -> bool:
    """Returns True for a type whose values a config writes down, such as "int" or "Sequence"."""
    return name in {*_SIMPLE, *_CONTAINERS}


def accepts(annotation: str | None, value: Any, names: Mapping[str, Any] | None = None) -> bool:
    """Returns True if `value` fits; a parameter without an annotation takes anything.

    Args:
      annotation: as written in the source: "int | None", "Literal['a', 'b']", "tuple[str, ...]".
      value: a literal or a `Placeholder` of a config, or a Python value.
      names: of the module with the annotation, in which its classes are looked up; None for a
        config, whose literals are no instance of a class.
    """
    if annotation is None:
        return True
    return any(_fits(option, value, names) for option in _options(annotation))


def describe(annotation: str, python: bool = False) -> str:
    """Returns the annotation in a person's words.

    Args:
      annotation: as written in the source.
      python: leave out how a config writes the value.
    """
    words = dict.fromkeys(_describe(option) for option in _options(annotation))
    text = " or ".join(words)
    return re.sub(r",? (as @[\w.]+(\(\))?|in brackets|in braces)", "", text) if python else text


def options(annotation: str) -> set[str]:
    """Returns the names of the types of a union, such as {"int", "None"}."""
    return {_name(option) for option in _options(annotation)}


def names_in(annotation: str) -> set[str]:
    """Returns all names of types, within containers too: {"tuple", "Task"} of "tuple[Task]"."""
    nodes = ast.walk(ast.parse(annotation.strip(), mode="eval"))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def _options(annotation: str) -> Iterator[ast.expr]:
    """Yields the members of a union, flat."""
    return _flat(ast.parse(annotation.strip(), mode="eval").body)


def _flat(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _flat(node.left)
        yield from _flat(node.right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _options(node.value)
    elif isinstance(node, ast.Subscript) and _name(node) in ("Optional", "Union"):
        for member in _members(node):
            yield from _flat(member)
        if _name(node) == "Optional":
            yield ast.Constant(None)
    else:
        yield node


def _name(node: ast.expr) -> str:
    """Returns the bare name of a type: "Sequence" of `collections.abc.Sequence[str]`."""
    if isinstance(node, ast.Subscript):
        return _name(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ast.unparse(node)


def _members(node: ast.expr) -> list[ast.expr]:
    if not isinstance(node, ast.Subscript):
        return []
    return list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]


def _fits(node: ast.expr, value: Any, names: Mapping[str, Any] | None) -> bool:
    name = _name(node)
    if isinstance(value, Placeholder):
        return value.fits(name)
    if name in ("Any", "object"):
        return True
    if name in _SIMPLE:
        return _SIMPLE[name](value)
    if name == "Literal":
        choices = [ast.literal_eval(member) for member in _members(node)]
        return any(type(value) is type(choice) and value == choice for choice in choices)
    if name in _SEQUENCES:
        return isinstance(value, list | tuple) and _sequence_fits(_members(node), value, names)
    if name in _MAPPINGS:
        return isinstance(value, Mapping) and _mapping_fits(_members(node), value, names)
    if name == "Callable":
        return names is not None and callable(value)
    return names is not None and _is_instance(node, value, names)


def _is_instance(node: ast.expr, value: Any, names: Mapping[str, Any]) -> bool:
    """Returns True for an instance of a class, and for a name that is no class at run time."""
    kind = resolve(node, names)
    return isinstance(value, kind) if isinstance(kind, type) else True


def resolve(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Returns what a type's name stands for in a module; None if only type checkers know it.

    Args:
      node: such as `Task`, `os.PathLike[str]`.
      names: of the module.
    """
    if isinstance(node, ast.Subscript):
        return resolve(node.value, names)
    if isinstance(node, ast.Attribute):
        return getattr(resolve(node.value, names), node.attr, None)
    if isinstance(node, ast.Name):
        own = names.get(node.id, getattr(builtins, node.id, None))
        return sys.modules.get(node.id) if own is None else own
    return None


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond float64
        return False


def _sequence_fits(
    members: list[ast.expr], value: Sequence[Any], names: Mapping[str, Any] | None
) -> bool:
    kinds = [node for node in members if ast.unparse(node) not in ("...", "Ellipsis")]
    if len(kinds) > 1:  # a tuple with one type for each place
        places = zip(kinds, value, strict=False)
        return len(kinds) == len(value) and all(_one_fits(*place, names) for place in places)
    return all(_one_fits(kinds[0], item, names) for item in value) if kinds else True


def _mapping_fits(
    members: list[ast.expr], value: Mapping[Any, Any], names: Mapping[str, Any] | None
) -> bool:
    if len(members) != 2:
        return True
    return all(
        _one_fits(members[0], key, names) and _one_fits(members[1], each, names)
        for key, each in value.items()
    )


def _one_fits(node: ast.expr, value: Any, names: Mapping[str, Any] | None) -> bool:
    return any(_fits(option, value, names) for option in _flat(node))


def _describe(node: ast.expr) -> str:
    name, members = _name(node), _members(node)
    if name == "Literal":
        choices = [ast.literal_eval(member) for member in members]
        return ", ".join(f'"{c}"' if isinstance(c, str) else repr(c) for c in choices)
    if name in _SEQUENCES and members:
        item = describe(ast.unparse(members[0]))
        if item.startswith(("a ", "an ")):
            return f"a list in brackets, each {item}"
        return f"a list of {item}, in brackets"
    if name in _MAPPINGS and len(members) == 2:
        key, value = (describe(ast.unparse(member)) for member in members)
        return f"a dict from {key} to {value}, in braces"
    if name in _SEQUENCES | _MAPPINGS:
        return _WORDS["dict" if name in _MAPPINGS else "list"]
    if name in ("Any", "object"):
        return "any value"
    article = "an" if name[0] in "AEIOU" else "a"
    return _WORDS.get(name, f"{article} {name}, as @name()")
