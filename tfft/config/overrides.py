"""Flags that set a value of a config: --gin.NAME=VALUE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tfft.argument_checks.annotations import accepts
from tfft.config.bindings import (
    Binding,
    Composition,
    Origin,
    in_full,
    macro_names,
    shortened,
)
from tfft.config.catalog import full_name
from tfft.config.parse import LONGEST_NAME, UNPARSABLE
from tfft.config.strict_checks import expectations
from tfft.errors import ConfigError, near


def override(
    name: str, text: str, composition: Composition, parse: Callable[[str], Any], see: str
) -> Binding:
    """Returns the binding of --gin.NAME=VALUE; a bare word is text where text is expected.

    Args:
      parse: returns the value that a text is in gin's syntax.
      see: the command that shows the config.

    Raises:
      ConfigError: no config has the macro, or the text is no value.
    """
    origin = Origin(shortened(f"--gin.{name}={text}"))
    if len(name) > LONGEST_NAME:
        raise ConfigError(
            f"a name may have at most {LONGEST_NAME} characters.", set_in=str(origin), see=see
        )
    owner, dot, parameter = name.rpartition(".")
    scope, slash, selector = (owner if dot else name).rpartition("/")
    if dot:
        selector = full_name(selector, composition.configurables)
        name = f"{scope}{slash}{selector}.{parameter}"
    if not dot:
        values = [*composition.macros.values(), *composition.bindings.values()]
        known = composition.macros.keys() | {m for b in values for m in macro_names(b.value)}
        if name not in known:
            raise ConfigError(
                f"no config has a macro {name}.",
                set_in=str(origin),
                valid=near(name, known),
                see=see,
            )
        expected = expectations(name, composition)
    else:
        target = composition.configurables.get(selector)
        found = target.parameters.get(parameter) if target else None
        expected = [found.annotation] if found and found.annotation else []
    known_value = composition.macros.get(name) or composition.bindings.get(name)
    value = _parsed(text, parse, expected, known_value and known_value.value, origin)
    binding = Binding(scope, selector, parameter if dot else "", value, origin)
    return in_full(binding, composition.configurables)


def _parsed(
    text: str,
    parse: Callable[[str], Any],
    expected: Sequence[str],
    current: Any,
    origin: Origin,
) -> Any:
    """Returns a flag's text as a value of gin, or as it is where only text fits."""
    fits_text = current is None or isinstance(current, str)
    if expected:
        fits_text = all(accepts(kind, text) for kind in expected)
    try:
        value = parse(text)
    except UNPARSABLE:
        if fits_text or expected:  # the type check says what would fit
            return text
        raise ConfigError(
            f"{shortened(repr(text))} is no value.",
            set_in=str(origin),
            valid="a number, True, None, 'text', @name()",
        ) from None
    fits = all(accepts(kind, value) for kind in expected)
    return text if fits_text and not fits else value
