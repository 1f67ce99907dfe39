"""Does a config's value fit a parameter's annotation? Answered from the annotation's text alone.

Nothing is imported to find out: an annotation is read as source, so that a config with a wrong
value is refused before TensorFlow is loaded. A name that is no built-in type stands for a class,
whose values only a reference (`@name()`) can make.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator
from typing import Any

from tfft.composition import Macro, Reference

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "bool": "True or False",
    "None": "None",
    "list": "a list in brackets",
    "dict": "a dict in braces",
    "Callable": "a function, as @module.name",
}
_SEQUENCES = {"tuple", "list", "Sequence", "Iterable", "Collection"}
_MAPPINGS = {"dict", "Mapping"}
_CONTAINERS = _SEQUENCES | _MAPPINGS | {"Literal"}

_SIMPLE: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    ),
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "None": lambda value: value is None,
}


def accepts(annotation: str | None, value: Any) -> bool:
    """Says whether `value` fits; a parameter without an annotation takes anything.

    Args:
      annotation: as written in the source: "int | None", "Literal['a', 'b']", "tuple[str, ...]".
      value: a literal, a `Reference`, or a `Macro` that has no value yet, which fits anywhere. What
        is passed itself fits `Callable` alone.
    """
    if annotation is None or isinstance(value, Macro):
        return True
    return any(_fits(option, value) for option in _options(annotation))


def describe(annotation: str) -> str:
    """Returns the annotation in a person's words."""
    return " or ".join(dict.fromkeys(_describe(option) for option in _options(annotation)))


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


def _fits(node: ast.expr, value: Any) -> bool:
    name = _name(node)
    if isinstance(value, Reference) and not value.called:
        return name == "Callable"
    if name in ("Any", "object"):
        return True
    if isinstance(value, Reference):
        return name not in {*_SIMPLE, *_CONTAINERS}
    if name in _SIMPLE:
        return _SIMPLE[name](value)
    if name == "Literal":
        choices = [ast.literal_eval(member) for member in _members(node)]
        return any(value == choice and type(value) is type(choice) for choice in choices)
    if name in _SEQUENCES:
        return isinstance(value, list | tuple) and _sequence_fits(_members(node), value)
    if name in _MAPPINGS:
        return isinstance(value, dict) and _mapping_fits(_members(node), value)
    return False


def _sequence_fits(members: list[ast.expr], value: list[Any] | tuple[Any, ...]) -> bool:
    kinds = [node for node in members if ast.unparse(node) not in ("...", "Ellipsis")]
    if len(kinds) > 1:  # a tuple with one type for each place
        return len(kinds) == len(value) and all(map(_one_fits, kinds, value))
    return all(_one_fits(kinds[0], item) for item in value) if kinds else True


def _mapping_fits(members: list[ast.expr], value: dict[Any, Any]) -> bool:
    if len(members) != 2:
        return True
    return all(_one_fits(members[0], k) and _one_fits(members[1], v) for k, v in value.items())


def _one_fits(node: ast.expr, value: Any) -> bool:
    return isinstance(value, Macro) or any(_fits(option, value) for option in _flat(node))


def _describe(node: ast.expr) -> str:
    name, members = _name(node), _members(node)
    if name == "Literal":
        choices = [ast.literal_eval(member) for member in members]
        return ", ".join(f'"{c}"' if isinstance(c, str) else repr(c) for c in choices)
    if name in _SEQUENCES and members:
        return f"a list of {describe(ast.unparse(members[0]))}, in brackets"
    if name in _SEQUENCES | _MAPPINGS:
        return _WORDS["dict" if name in _MAPPINGS else "list"]
    if name in ("Any", "object"):
        return "any value"
    return _WORDS.get(name, f"a {name}, as @name()")
