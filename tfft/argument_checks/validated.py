"""Checks the arguments of public constructors and functions against annotations and constraints.

`@validated()` checks the types of all annotated arguments; `@validated(dropout=FRACTION)` checks
the numbers of `dropout` too. A config's literals are checked by the same rules before a run, see
`tfft.argument_checks.annotations`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tfft.argument_checks.annotations import accepts, describe, options
from tfft.argument_checks.renamed_arguments import new_place
from tfft.errors import ConfigError, near

Target = TypeVar("Target", bound=Callable[..., Any])
LONGEST = 80  # characters of a received value in an error


class Constraint(Protocol):
    """Limits the values of an argument whose type is right."""

    def is_met(self, value: Any) -> bool:
        """Returns True if the argument may have the value."""

    def __str__(self) -> str:
        """Returns the valid values, to follow "must be"."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Limits a number, and each number of a sequence or mapping. Text and None have no limits.

    Args:
      least, most: limits that are valid themselves.
      above, below: limits that are not.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def is_met(self, value: Any) -> bool:
        """Returns True if all numbers of the value are within the limits."""
        return all(self._holds(number) for number in _numbers(value))

    def _holds(self, number: float) -> bool:
        return (
            (self.least is None or number >= self.least)
            and (self.most is None or number <= self.most)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def __str__(self) -> str:
        low = "" if self.least is None else f"{self.least}"
        low = low if self.above is None else f"above {self.above}"
        high = "" if self.most is None else f"{self.most}"
        high = high if self.below is None else f"below {self.below}"
        if self.above is not None and self.most is not None:
            return f"{low}, at most {high}"
        if low and high:
            return f"{low} to {high}"
        if self.least is not None:
            return f"{low} or more"
        if self.most is not None:
            return f"{high} or less"
        return low or high or "any number"


@dataclasses.dataclass(frozen=True)
class Names:
    """Limits a sequence of names: each is there once and has a visible character.

    Args:
      least: the smallest number of names.
    """

    least: int = 0

    def is_met(self, value: Any) -> bool:
        """Returns True for None, for one visible name, and for visible names without repeats."""
        if value is None:
            return True
        names = [value] if isinstance(value, str) else list(value)
        visible = all(isinstance(name, str) and name.strip() for name in names)
        return visible and len(set(names)) == len(names) >= self.least

    def __str__(self) -> str:
        count = f"{self.least} or more " if self.least else ""
        return f"{count}names, each of them once and none empty"


@dataclasses.dataclass(frozen=True)
class Filled:
    """Limits text and sequences: they are not empty, and neither is a text of a sequence."""

    def is_met(self, value: Any) -> bool:
        """Returns True for None, and for what is not empty."""
        parts = value if isinstance(value, list | tuple) else [value]
        return bool(parts) and not any(isinstance(part, str) and not part for part in parts)

    def __str__(self) -> str:
        return "not empty"


ANY = Range()
NON_NEGATIVE = Range(least=0)
POSITIVE = Range(above=0)
COUNT = Range(least=1)
SHARE = Range(least=0, most=1)
FRACTION = Range(least=0, below=1)
SEED = Range(least=0, most=2**31 - 1)
FILLED = Filled()
DISTINCT = Names()
NAMED = Names(least=1)


def validated(**constraints: Constraint) -> Callable[[Target], Target]:
    """Returns a decorator for a class, function or method that checks its arguments when called.

    The annotations say which types are valid. NumPy scalars and arrays are passed on as Python
    numbers and lists, other sequences as lists, and a path as text if the annotation asks for text.

    Args:
      constraints: of further arguments by name, such as a `Range` of numbers.
    """

    def decorate(target: Target) -> Target:
        if not isinstance(target, type):
            return _wrapped(target, constraints)
        made: Any = target
        made.__init__ = _wrapped(made.__init__, constraints)
        return target

    return decorate


def each(names: str, constraint: Constraint) -> dict[str, Constraint]:
    """Returns the same constraint for several arguments, whose names have spaces between them."""
    return dict.fromkeys(names.split(), constraint)


def constraints_of(target: Any) -> Mapping[str, Constraint] | None:
    """Returns the constraints of a class or function; None if its arguments are not checked."""
    function: Any = target.__init__ if isinstance(target, type) else target  # type: ignore[misc]
    return getattr(function, "constraints", None)


def check_value(
    owner: str,
    name: str,
    value: Any,
    annotation: str,
    names: Mapping[str, Any] | None = None,
    constraint: Constraint | None = None,
) -> None:
    """Refuses a value of the wrong type, or one outside its constraint.

    Args:
      owner: the class or function, such as "Stage".
      name: of the argument.
      value: what was passed.
      annotation: as written in the source.
      names: of the module in which the annotation's classes are looked up.
      constraint: of the values of that type.

    Raises:
      ConfigError: says what is valid.
    """
    kind = describe(annotation, python=True)
    limited = constraint is not None and constraint != ANY
    valid = f"{kind}: {constraint}" if limited else kind
    if not accepts(annotation, value, names or {}):
        wanted = kind
    elif constraint is not None and not constraint.is_met(value):
        wanted = str(constraint)
    else:
        return
    raise ConfigError(
        f"{owner}.{name} must be {wanted}. Received: {name}={shown(value)}.", valid=valid
    )


def shown(value: Any) -> str:
    """Returns a value as an error shows it: short, and an object by its class."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if inspect.isroutine(value):
        return f"the function {getattr(value, '__name__', value)}"
    plain = (str, bytes, int, float, bool, list, tuple, dict, set, frozenset, type(None))
    if not isinstance(value, plain):
        return f"an object of the class {type(value).__name__}"
    text = repr(value[:LONGEST]) if isinstance(value, str | bytes | list | tuple) else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def _wrapped(function: Any, constraints: Mapping[str, Constraint]) -> Any:
    signature = inspect.signature(function)
    unknown = constraints.keys() - signature.parameters.keys()
    if unknown:
        raise TypeError(f"{function.__qualname__} has no parameter {sorted(unknown)[0]!r}")
    is_init = function.__name__ == "__init__"

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        owner = type(args[0]).__name__ if is_init else function.__qualname__
        bound = _bound(signature, owner, args, kwargs)
        scope = sys.modules[function.__module__].__dict__
        for name, value in bound.arguments.items():
            annotation = _annotation(signature.parameters[name])
            if annotation is not None:
                value = bound.arguments[name] = converted(value, annotation)
                check_value(owner, name, value, annotation, scope, constraints.get(name))
        return function(*bound.args, **bound.kwargs)

    call.constraints = constraints  # type: ignore[attr-defined]
    return call


def _bound(
    signature: inspect.Signature, owner: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Returns the arguments by name.

    Raises:
      ConfigError: one is missing, unknown or given twice.
    """
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        known = [name for name in signature.parameters if name != "self"]
        wrong = next((name for name in kwargs if name not in known), None)
        if wrong and "kwargs" not in known:
            raise ConfigError(
                f"{owner} has no argument {wrong!r}.",
                valid=new_place(owner, wrong) or near(wrong, known),
            ) from error
        raise ConfigError(
            f"{owner} was called with wrong arguments: {error}.",
            valid=", ".join(known) or "no argument",
        ) from error


def _annotation(parameter: inspect.Parameter) -> str | None:
    """Returns an annotation as text; None without one, and for further arguments (`**kwargs`)."""
    kind = parameter.annotation
    several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    if kind is parameter.empty or several:
        return None
    return kind if isinstance(kind, str) else inspect.formatannotation(kind)


def converted(value: Any, annotation: str) -> Any:
    """Returns NumPy values, paths and sequences as the plain values that the annotation means."""
    kinds = options(annotation)
    if kinds & {"Any", "object"}:
        return value
    if "str" in kinds and "PathLike" not in kinds and isinstance(value, os.PathLike):
        return os.fspath(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    if type(value) in (list, tuple):
        return type(value)(map(_plain, value))
    if type(value) is dict:
        return {_plain(key): _plain(each) for key, each in value.items()}
    is_text = isinstance(value, str | bytes | bytearray | memoryview)
    if isinstance(value, Sequence) and not is_text and not isinstance(value, list | tuple):
        return list(value)
    return value


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    elif isinstance(value, Mapping):
        yield from _numbers(list(value.values()))
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for each in value:
            yield from _numbers(each)
