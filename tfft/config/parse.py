"""Gin's own parser with limits: no file takes long, whatever it holds."""

from __future__ import annotations

import ast
import math
import pathlib
import re
import tokenize
from collections.abc import Iterator
from typing import Any

from gin import config_parser

from tfft.config.bindings import DEEPEST, Macro, Origin, Reference, references, shortened
from tfft.config.includes import MAX_BYTES, is_gin, read_config, shown
from tfft.errors import ConfigError

# What gin's parser raises, by way of Python's tokenizer and of ast.literal_eval.
UNPARSABLE = (SyntaxError, tokenize.TokenError, RecursionError, ValueError, TypeError, MemoryError)
MOST_BINDINGS = 2_000  # of a config, with all that it includes
MOST_TOKENS = 50_000  # words, numbers and signs of all files of a config
LONGEST_NAME = 250  # characters of a name with its scopes
LONGEST_NUMBER = 100  # digits


class _Delegate(config_parser.ParserDelegate):
    """Keeps references and macros as they were written."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> Reference:
        scope, _, name = scoped_configurable_name.rpartition("/")
        return Reference(name, scope, evaluate)

    def macro(self, macro_name: str) -> Macro:
        return Macro(macro_name)


class _Parser(config_parser.ConfigParser):
    """Refuses what is too long or too deep, and joins the parts of a text in linear time.

    Args:
      text: of a file or a value.
      budget: has an item for each token that may come.
    """

    def __init__(self, text: str, budget: Iterator[int]):
        self._budget, self._depth = budget, 0
        super().__init__(text, _Delegate())

    def _advance_one_token(self) -> None:
        super()._advance_one_token()
        if next(self._budget, None) is None:
            self._raise_syntax_error(f"a config may have at most {MOST_TOKENS:,} words and signs")
        token = self._current_token
        if token.type == tokenize.NUMBER and len(token.string) > LONGEST_NUMBER:
            self._raise_syntax_error(f"a number may have at most {LONGEST_NUMBER} digits")

    def _parse_selector(self, *args: Any, **kwargs: Any) -> str:
        name = super()._parse_selector(*args, **kwargs)
        if len(name) > LONGEST_NAME:
            self._raise_syntax_error(f"a name may have at most {LONGEST_NAME} characters")
        return name

    def parse_value(self) -> Any:
        self._depth += 1
        if self._depth > DEEPEST:
            self._raise_syntax_error(f"lists may be at most {DEEPEST} deep")
        value = super().parse_value()
        self._depth -= 1
        if isinstance(value, float) and not math.isfinite(value):
            self._raise_syntax_error("a number may have at most 308 digits before the point")
        return value

    def _parse_dict_item(self) -> tuple[Any, Any]:
        key, value = super()._parse_dict_item()
        try:
            hash(key)
            plain = not any(True for _ in references(key))
        except TypeError:
            plain = False
        if not plain:
            self._raise_syntax_error("the keys of a dict are texts and numbers")
        return key, value

    def _maybe_parse_basic_type(self) -> tuple[bool, Any]:
        if self._current_token.type != tokenize.STRING:
            return super()._maybe_parse_basic_type()
        parts = []
        while self._current_token.type == tokenize.STRING:
            text = self._current_token.string
            try:
                parts.append(ast.literal_eval(text))
            except Exception as error:  # of any kind, as gin has it
                self._raise_syntax_error(f"{error}\n    Failed to parse token '{text}'")
            self._advance()
        if len({type(part) for part in parts}) > 1:
            self._raise_syntax_error("text and bytes cannot be joined")
        return True, parts[0][:0].join(parts)


def token_budget() -> Iterator[int]:
    """Returns an iterator from which the parser takes an item for each token of a config."""
    return iter(range(MOST_TOKENS))


def statements(path: pathlib.Path, origin: Origin | None, budget: Iterator[int]) -> list[Any]:
    """Returns the statements of a file.

    Args:
      path: of the file.
      origin: the line that includes it, None if a flag names it.
      budget: what `token_budget` returned for the whole config.

    Raises:
      ConfigError: it is no gin, or no UTF-8, or too long.
    """
    text = read_config(path, origin)
    try:
        return list(_Parser(text, budget))
    except UNPARSABLE as error:
        line, reason = _syntax(error)
        if not is_gin(text):  # what else it is, the error must not show
            raise ConfigError(
                f"{shown(path)} is not a gin config: its line {line} cannot be read.",
                set_in=str(origin) if origin else f"--gin_file={shown(path)}",
                valid="lines such as NAME = VALUE, include or import",
                see="tfft list",
            ) from None
        lines = [*text.splitlines(), ""]
        there = shortened(lines[min(line, len(lines)) - 1].strip())
        raise ConfigError(
            f"this line cannot be read: {there}\n  {reason}",
            set_in=f"{shown(path)}:{line}",
            valid='NAME = VALUE, where text stands in quotes: files.data = "reviews.csv"',
        ) from error


def check_readable(text: str) -> None:
    """Refuses a config whose whole text, which a run keeps, could not be read again.

    Raises:
      ConfigError: it is too long.
    """
    if len(text) < 8 * MOST_BINDINGS:  # characters of a binding
        return
    try:
        bindings = len(list(_Parser(text, token_budget())))
    except UNPARSABLE:
        bindings = MOST_BINDINGS + 1
    if bindings > MOST_BINDINGS or len(text.encode()) > MAX_BYTES:
        raise ConfigError(
            "the whole config of the run is too long, with all defaults and macros in their place.",
            valid=f"{MOST_BINDINGS:,} bindings, {MOST_TOKENS:,} words and signs, "
            f"{MAX_BYTES:,} bytes",
        )


def _syntax(error: Exception) -> tuple[int, str]:
    """Returns the line of a parser's error and its reason."""
    if isinstance(error, SyntaxError):
        reason, _, more = str(error.msg).partition("\n")
        token = re.search(r"Failed to parse token '(.*)'", more)
        return error.lineno or 1, shortened(f"{token[1]} is no value" if token else reason)
    if isinstance(error, tokenize.TokenError):
        return error.args[1][0], str(error.args[0])
    return 1, "too deep" if isinstance(error, RecursionError | MemoryError) else str(error)


def single_value(text: str) -> Any:
    """Returns the one value of gin that a text is; raises one of `UNPARSABLE`."""
    parser = _Parser(text, token_budget())
    value = parser.parse_value()
    if parser.current_token.type not in (tokenize.NEWLINE, tokenize.ENDMARKER):
        raise SyntaxError("more than one value")
    return value
