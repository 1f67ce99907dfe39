"""What a composed config comes to: its settings, a text that repeats the run, who is to blame."""

from __future__ import annotations

import dataclasses
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfft.config.bindings import (
    DEFAULT,
    ROOT,
    Binding,
    Composition,
    Macro,
    Origin,
    Reference,
    Use,
    macro_names,
    references,
    replaced,
    written,
)
from tfft.config.catalog import Parameter
from tfft.config.strict_checks import settable
from tfft.errors import ConfigError, UserError

# What constructors raise for values that they cannot take.
MISTAKES = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
HEADER = """\
# The whole config of a run: every object with all its arguments. The same run again:
#   tfft train --gin_file=THIS_FILE{} --workdir=FOLDER

"""


@dataclasses.dataclass(frozen=True)
class Setting:
    """One value as a run gets it.

    Attributes:
      name: "scope/configurable.parameter", or a macro's name.
      value: in gin's syntax; "" when it is required and nothing sets it.
      file: that set it; a flag as it was given; "default"; "" when nothing sets it.
      line: in the file; 0 for a flag or a default.
      macro: that the value came through, "" without one.
    """

    name: str
    value: str
    file: str
    line: int = 0
    macro: str = ""

    @property
    def where(self) -> str:
        return str(Origin(self.file, self.line))


def all_settings(composition: Composition) -> Iterator[Setting]:
    """Yields the macros, then every object's arguments, then bindings that nothing uses."""
    for name, binding in composition.macros.items():
        yield _setting(name, binding.value, binding)
    bindings = [*composition.macros.values(), *composition.bindings.values()]
    unset = {name for b in bindings for name in macro_names(b.value)} - composition.macros.keys()
    for name in sorted(unset):
        yield Setting(name, "", "")
    used: set[str] = set()
    told: set[str] = set()
    for use in composition.uses():
        for parameter in _parameters(use):
            name, bound = f"{use.key}.{parameter.name}", use.bindings.get(parameter.name)
            if name in told or bound is None and not use.called:
                continue  # what is passed itself gets the rest from who calls it
            told.add(name)
            if bound is None:
                yield Setting(name, parameter.default or "", "default" * bool(parameter.default))
                continue
            used.add(bound.key)
            macro = bound.value.name if isinstance(bound.value, Macro) else ""
            value = composition.resolve(bound.value)
            yield _setting(name, value, composition.source_of(bound), macro)
    for binding in composition.bindings.values():
        if binding.key not in used:
            yield _setting(binding.key, binding.value, binding)


def _setting(name: str, value: Any, binding: Binding, macro: str = "") -> Setting:
    return Setting(name, repr(value), binding.origin.file, binding.origin.line, macro)


def _parameters(use: Use) -> list[Parameter]:
    return [use.target.parameters[name] for name in settable(use.target)]


def whole_text(composition: Composition, modules: Sequence[str]) -> str:
    """Returns the file that repeats the run, with the modules that it imports."""
    header = HEADER.format(f" --allow_imports={','.join(modules)}" if modules else "")
    imports = "".join(f"import {module}\n" for module in modules) + "\n" * bool(modules)
    return header + imports + operative_text(composition.uses(), composition)


def operative_text(
    uses: Sequence[Use],
    composition: Composition,
    only: Sequence[str] | None = None,
    refer: Callable[[Reference], Reference] = lambda reference: reference,
) -> str:
    """Returns the uses as gin, each with all its arguments; no macro and no inherited scope.

    Args:
      uses: in the order in which they are written.
      composition: that they belong to.
      only: the root's arguments to write; None for all.
      refer: how a reference is written.
    """
    blocks: dict[str, str] = {}
    for use in uses:
        lines = []
        key = refer(Reference(use.target.name, use.scope, use.called)).key
        for parameter in _parameters(use):
            if use.target.name == ROOT and only is not None and parameter.name not in only:
                continue
            for value in _values(use, parameter, composition, refer):
                prefix = f"{key}.{parameter.name} = "
                lines.append(prefix + written(value, prefix) + "\n")
        if use.called or key not in blocks:  # where it is called too, it has all its arguments
            blocks[key] = "".join(lines)
    return "\n".join(block for block in blocks.values() if block)


def _values(
    use: Use,
    parameter: Parameter,
    composition: Composition,
    refer: Callable[[Reference], Reference],
) -> tuple[Any, ...]:
    """Returns the one value in a tuple; an empty one when a config cannot express it."""

    def with_scope(part: Any) -> Any:
        if not isinstance(part, Reference):
            return part
        return refer(dataclasses.replace(part, scope=part.scope or use.scope))

    binding = use.bindings.get(parameter.name)
    if binding is None:
        return parameter.literal if use.called else ()
    return (replaced(composition.resolve(binding.value), with_scope),)


def constructor_error(error: Exception, use: Use) -> Exception:
    """Returns the error of a constructor as one of the config; any other error as it is."""
    if isinstance(error, UserError) or not isinstance(error, MISTAKES):
        return error
    text = " ".join(str(error).split())[:300]
    name = type(error).__name__
    where = ""
    if use.target.module:  # a person's own: the line that raised it helps to mend it
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f" ({place.filename}:{place.lineno})"
    refused = ConfigError(
        f"{use.key} cannot be made: {name}: {text}{where}",
        valid="other values; -v shows where the error comes from",
        see=f"tfft show {use.target.name}" if not use.target.module else None,
    )
    refused.__cause__ = error
    return refused


def blamed(problem: str, composition: Composition, use: Use | None = None) -> str | None:
    """Returns the file and line of the binding that a message is about, None when it is unclear.

    Args:
      problem: the message; "Stage.epochs" or "epochs=3" in it name a parameter.
      composition: the config.
      use: the object that raised it, of which any argument may be to blame.
    """
    pairs = [
        (each, binding)
        for each in ([use] if use else composition.uses())
        for binding in each.bindings.values()
        if binding.origin != DEFAULT
    ]
    tests = [_is_named, _is_mentioned, _is_quoted] if use else [_is_named]
    for test in tests:
        for each, binding in pairs:
            if test(problem, each, binding, composition.resolve(binding.value)):
                return str(composition.source_of(binding).origin)
    if use is None:
        return None
    users = (
        binding
        for binding in composition.bindings.values()
        for reference in references(composition.resolve(binding.value))
        if reference.name == use.target.name
    )
    first = next((binding for _, binding in pairs), None) or next(users, None)
    return str(composition.source_of(first).origin) if first else None


def _is_named(problem: str, use: Use, binding: Binding, value: Any) -> bool:
    """Says whether the message has "Stage.epochs" or "epochs=3", with this very value."""
    owner = re.escape(use.target.name.rpartition(".")[2])
    name = re.escape(binding.parameter)
    shown = re.escape(repr(value))
    return bool(re.search(rf"\b{owner}\.{name}\b(?!=)|\b{name}={shown}(?!\w)", problem))


def _is_mentioned(problem: str, use: Use, binding: Binding, value: Any) -> bool:
    return bool(re.search(rf"\b{re.escape(binding.parameter)}\b", problem))


def _is_quoted(problem: str, use: Use, binding: Binding, value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value in problem
