"""A config once its files are read: who binds what, and which of it a run would use.

Values keep gin's meaning: a binding of an outer scope holds in the inner ones until these set
their own; a reference without a scope is called in the scope of its caller. One thing is simpler
than in gin: a macro is its value, wherever it is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfft.argument_checks.annotations import Placeholder, is_plain
from tfft.config.catalog import Configurable, full_name
from tfft.errors import ConfigError

ROOT = "train"
LINE_LENGTH = 88
LONGEST_LINE = 200  # characters of a line or a value in an error
DEEPEST = 40  # lists in lists, macros included
LARGEST = 50_000  # values in all, macros in their place; 16 characters count as one
MOST_USES = 500  # objects that a config makes


@dataclasses.dataclass(frozen=True)
class Reference(Placeholder):
    """`@scope/name()`, or without the parentheses the class or function itself."""

    name: str
    scope: str = ""
    called: bool = True

    def fits(self, name: str) -> bool:
        """Returns True if the object that it makes, or it itself, can be of a type."""
        return not is_plain(name) if self.called else name == "Callable"

    def __repr__(self) -> str:
        return f"@{self.key}{'()' if self.called else ''}"

    @property
    def key(self) -> str:
        return f"{self.scope}/{self.name}" if self.scope else self.name


@dataclasses.dataclass(frozen=True)
class Macro(Placeholder):
    """`%NAME`."""

    name: str

    def fits(self, name: str) -> bool:
        """Returns True: nobody has set the value yet."""
        return True

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclasses.dataclass(frozen=True)
class Origin:
    """The file and line that set a value; line 0 stands for a flag or a default."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


DEFAULT = Origin("default")


@dataclasses.dataclass(frozen=True)
class Binding:
    """One value as it was written. A macro has a name and no parameter."""

    scope: str
    name: str
    parameter: str
    value: Any
    origin: Origin

    @property
    def key(self) -> str:
        owner = f"{self.scope}/{self.name}" if self.scope else self.name
        return f"{owner}.{self.parameter}" if self.parameter else owner


@dataclasses.dataclass(frozen=True)
class Use:
    """A configurable called in a scope, or only passed, with the bindings that reach it there."""

    scope: str
    target: Configurable
    bindings: Mapping[str, Binding]
    called: bool = True

    @property
    def key(self) -> str:
        return f"{self.scope}/{self.target.name}" if self.scope else self.target.name


def levels(scope: str) -> list[str]:
    """Returns a scope and those around it, from the outermost: "", "a", "a/b"."""
    names = scope.split("/") if scope else []
    return ["/".join(names[:count]) for count in range(len(names) + 1)]


def parts(value: Any) -> Iterator[Any]:
    """Yields a value and all that its containers hold."""
    yield value
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        for item in value:
            yield from parts(item)


def references(value: Any) -> Iterator[Reference]:
    return (part for part in parts(value) if isinstance(part, Reference))


def macro_names(value: Any) -> set[str]:
    return {part.name for part in parts(value) if isinstance(part, Macro)}


def replaced(value: Any, change: Any) -> Any:
    """Returns the value with `change` applied to every leaf of its containers."""
    if isinstance(value, dict):
        try:
            return {replaced(k, change): replaced(v, change) for k, v in value.items()}
        except TypeError as error:  # a macro of a list as a key
            raise ConfigError(f"a dict has a value that cannot be a key: {error}.") from error
    if isinstance(value, list | tuple):
        return type(value)(replaced(item, change) for item in value)
    return change(value)


def in_full(binding: Binding, known: Mapping[str, Configurable]) -> Binding:
    """Returns the binding with the full names of what it is of and of what it refers to."""

    def change(part: Any) -> Any:
        if not isinstance(part, Reference):
            return part
        return dataclasses.replace(part, name=full_name(part.name, known))

    name = full_name(binding.name, known) if binding.parameter else binding.name
    return dataclasses.replace(binding, name=name, value=replaced(binding.value, change))


class Composition:
    """All bindings by key, the later ones in place of the earlier.

    Args:
      bindings: in the order in which they were read.
      configurables: by name.
      dropped: bindings that a later file or flag left without a use.
    """

    def __init__(
        self,
        bindings: list[Binding],
        configurables: Mapping[str, Configurable],
        dropped: Sequence[Binding] = (),
    ):
        self.configurables = configurables
        self.bindings = {b.key: b for b in bindings if b.parameter}
        self.macros = {b.key: b for b in bindings if not b.parameter}
        kept = {id(b) for b in self.bindings.values()}
        self.replaced = [b for b in bindings if b.parameter and id(b) not in kept]
        self.replaced += dropped
        self._by_owner: dict[tuple[str, str], list[Binding]] = {}
        for binding in self.bindings.values():
            self._by_owner.setdefault((binding.scope, binding.name), []).append(binding)
        self._check_size()

    def _check_size(self) -> None:
        """Refuses values that would be too large or too deep with the macros in their place."""
        macros: dict[str, tuple[int, int]] = {}

        def extent(value: Any) -> tuple[int, int]:
            if isinstance(value, Macro) and value.name in self.macros:
                if value.name not in macros:
                    macros[value.name] = 1, 0  # of a circle, which `resolve` refuses
                    size, depth = extent(self.macros[value.name].value)
                    macros[value.name] = size, depth + 1
                return macros[value.name]
            if isinstance(value, dict):
                value = [*value.keys(), *value.values()]
            if isinstance(value, list | tuple):
                inside = list(map(extent, value))
                deepest = max((depth for _, depth in inside), default=0)
                return 1 + sum(size for size, _ in inside), deepest + 1
            return 1 + (len(value) // 16 if isinstance(value, str | bytes) else 0), 0

        total = 0
        for binding in (*self.macros.values(), *self.bindings.values()):
            try:
                size, depth = extent(binding.value)
            except RecursionError:
                size, depth = 0, 2 * DEEPEST
            total += size
            if total > LARGEST or depth > DEEPEST:
                raise ConfigError(
                    f"the value of {binding.key} is too {'deep' if depth > DEEPEST else 'large'}.",
                    set_in=str(binding.origin),
                    valid=f"lists and macros {DEEPEST} deep, {LARGEST:,} values in all",
                )

    def resolve(self, value: Any, within: tuple[str, ...] = ()) -> Any:
        """Returns the value with every macro replaced; one without a value stays.

        Raises:
          ConfigError: a macro leads back to itself.
        """

        def change(part: Any) -> Any:
            if not isinstance(part, Macro) or part.name not in self.macros:
                return part
            binding = self.macros[part.name]
            if part.name in within:
                chain = " -> ".join(f"%{name}" for name in (*within, part.name))
                raise ConfigError(
                    f"a macro leads back to itself: {chain}.", set_in=str(binding.origin)
                )
            return self.resolve(binding.value, (*within, part.name))

        return replaced(value, change)

    def source_of(self, binding: Binding) -> Binding:
        """Returns the binding that the value was written in: a macro's, when the value is one."""
        while isinstance(binding.value, Macro) and binding.value.name in self.macros:
            binding = self.macros[binding.value.name]
        return binding

    def uses(self, only: tuple[str, ...] | None = None) -> list[Use]:
        """Returns each configurable in each scope that the root reaches, callers first.

        One that is called and also passed itself is there twice.

        Args:
          only: the root's parameters to follow; None for all.

        Raises:
          ConfigError: a reference leads back to itself.
        """
        found: dict[tuple[str, bool], Use] = {}
        self._reach(Reference(ROOT), (), found, only)
        return list(found.values())

    def _reach(
        self,
        reference: Reference,
        callers: tuple[str, ...],
        found: dict[tuple[str, bool], Use],
        only: tuple[str, ...] | None = None,
    ) -> None:
        name, scope = reference.name, reference.scope
        if name not in self.configurables:
            return
        bindings = self._bindings_of(name, scope, reference.called)
        if only is not None:
            bindings = {key: value for key, value in bindings.items() if key in only}
        use = Use(scope, self.configurables[name], bindings, reference.called)
        if (use.key, use.called) in found:
            return
        found[use.key, use.called] = use
        if len(found) > MOST_USES:
            raise ConfigError(
                f"a config makes more than {MOST_USES:,} objects.", valid="fewer scopes"
            )
        for binding in use.bindings.values():
            for part in references(self.resolve(binding.value)):
                inner = dataclasses.replace(part, scope=part.scope or scope)
                if inner.key in (*callers, use.key):
                    raise ConfigError(
                        f"@{inner.key}() is part of its own arguments.", set_in=str(binding.origin)
                    )
                self._reach(inner, (*callers, use.key), found)

    def _bindings_of(self, name: str, scope: str, called: bool) -> dict[str, Binding]:
        """Returns bindings by parameter, in the order of the signature.

        A binding of a base class reaches what inherits from it and takes the parameter; one of the
        class itself comes first. What is called is bound to its defaults that call a configurable.
        """
        target = self.configurables[name]
        reached = {
            binding.parameter: binding
            for level in levels(scope)
            for owner in (*target.bases, name)
            for binding in self._by_owner.get((level, owner), ())
            if owner == name or binding.parameter in target.parameters
        }
        if called:
            reached |= self._implied(target, reached, scope)
        order = [*target.parameters, *reached]
        return {key: reached[key] for key in dict.fromkeys(order) if key in reached}

    def _implied(
        self, target: Configurable, bound: Mapping[str, Binding], scope: str
    ) -> dict[str, Binding]:
        """Returns a binding for each default that calls a configurable, as if a file had it."""
        found = {}
        for parameter in target.parameters.values():
            names = [full_name(name, self.configurables) for name in parameter.made_by]
            if parameter.name in bound or not names or set(names) - self.configurables.keys():
                continue
            made = tuple(map(Reference, names))
            value: Any = made if (parameter.default or "").startswith("(") else made[0]
            found[parameter.name] = Binding(scope, target.name, parameter.name, value, DEFAULT)
        return found


def written(value: Any, prefix: str = "") -> str:
    """Returns a value in gin's syntax; a long list gets one line for each item."""
    text = repr(value)
    if len(prefix) + len(text) <= LINE_LENGTH or not isinstance(value, list | tuple) or not value:
        return text
    begin, end = "()" if isinstance(value, tuple) else "[]"
    return "\n".join([begin, *(f"    {written(item)}," for item in value), end])


def shortened(text: str) -> str:
    """Returns a line as an error quotes it."""
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 4]} ..."
