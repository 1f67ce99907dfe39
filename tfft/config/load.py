"""Configs: read strictly, composed, and turned into the arguments of `tfft.api.train`.

Gin is met here and in `tfft.config.parse`, which reads the files one by one with gin's parser. What
they say is composed and checked (`tfft.config.strict_checks`) before any of it runs. Only then gin
itself gets a text, one that this module wrote: every object with all its arguments, no import, no
include and no macro.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gin
from gin import config_parser

from tfft.config.allowed_imports import OWN, Allowed, find_module, is_own
from tfft.config.bindings import (
    ROOT,
    Binding,
    Composition,
    Macro,
    Origin,
    Reference,
    Use,
    in_full,
)
from tfft.config.catalog import PACKAGE, of_module, of_objects
from tfft.config.catalog import configurables as offered
from tfft.config.dropped_bindings import (
    dropped_notes,
    made_unreachable,
    reached_keys,
    replaced_stages,
    seed_notes,
    stage_notes,
)
from tfft.config.includes import find_config, flags_of, relocated, shown
from tfft.config.operative_config import (
    Setting,
    all_settings,
    blamed,
    constructor_error,
    operative_text,
    whole_text,
)
from tfft.config.overrides import override
from tfft.config.parse import (
    MOST_BINDINGS,
    check_readable,
    single_value,
    statements,
    token_budget,
)
from tfft.config.strict_checks import missing, mistakes
from tfft.errors import ConfigError, UserError

ITSELF = "__itself"  # ends what gin calls for a function that is passed and not called
# Of a config, with all that it includes.
MOST_FILES, DEEPEST_INCLUDE = 50, 20
MOST_MISTAKES = 50  # that are listed


@dataclasses.dataclass(frozen=True)
class Config:
    """A composed and checked config.

    Attributes:
      flags: that name the files, and what they import.
      files: as they were named.
      settings: macros, then every object that the run makes with all its arguments.
      text: the whole as one file that repeats the run.
      notes: lines for a person.
      mistakes, missing: what `load(..., strict=False)` found instead of raising it.
      trust_data: what sources get of that name, which no file can set.
    """

    flags: str
    files: tuple[str, ...]
    settings: tuple[Setting, ...]
    text: str
    notes: tuple[str, ...]
    mistakes: tuple[ConfigError, ...]
    missing: tuple[ConfigError, ...]
    composition: Composition = dataclasses.field(repr=False)
    trust_data: bool | tuple[str, ...] = False

    def value(self, name: str) -> Any:
        """Returns the literal value bound to "configurable.parameter", None when there is none."""
        binding = self.composition.bindings.get(name)
        value = None if binding is None else self.composition.resolve(binding.value)
        return None if isinstance(value, Reference | Macro) else value

    def kwargs(self, only: Sequence[str] | None = None) -> dict[str, Any]:
        """Makes the objects and returns the arguments for `tfft.api.train`, by name.

        Args:
          only: the arguments that are wanted; the others' objects are not made.

        Raises:
          UserError: a constructor refused its arguments; the error says where they were set.
        """
        uses = self.composition.uses(None if only is None else tuple(only))
        text = operative_text(uses, self.composition, only, _flat)
        with _gin(uses, text, {"trust_data": self.trust_data}) as arguments:
            try:
                return arguments()
            except _Carried as carried:
                error, use = carried.error, carried.use
        error = constructor_error(error, use)
        if isinstance(error, UserError):
            self.explain(error, use)
        raise error

    def explain(self, error: UserError, use: Use | None = None) -> UserError:
        """Adds to an error the file and line that set what it is about, and the files to see.

        Args:
          error: changed in place.
          use: the object whose constructor raised it; None when it came from the run.
        """
        error.from_command = True
        if error.set_in is None:
            error.set_in = blamed(error.problem, self.composition, use)
        if error.see:
            error.see = error.see.replace("--gin_file=FILE", self.flags)
        if error.see and error.see.startswith("tfft check"):  # a source does not know its config
            error.see = error.see.replace("--gin_file=quick/text.gin", self.flags)
        return error


@contextlib.contextmanager
def _from_command() -> Iterator[None]:
    """Marks an error as one of a config, so that it names flags and commands."""
    try:
        yield
    except UserError as error:
        error.from_command = True
        raise


@_from_command()
def load(
    files: Sequence[str],
    overrides: Mapping[str, str] | None = None,
    *,
    seed: int | None = None,
    strict: bool = True,
    allow: Sequence[str] = (),
    configurables: Mapping[str, Any] | None = None,
    folder: pathlib.Path | None = None,
    trust_data: bool = False,
) -> Config:
    """Reads, composes and checks configs; the later ones win.

    Args:
      files: paths, or names of packaged configs such as "results/movie_reviews.gin".
      overrides: from a macro's name or "scope/configurable.parameter" to a value as text.
      seed: the value of --seed.
      strict: raise the first mistake; otherwise the config lists them.
      allow: modules and packages that a config may import beside those of the package: names, or
        paths of a module's file or a package's folder.
      configurables: classes and functions by name; what the package offers by default.
      folder: where relative paths are looked up that do not exist in the current folder. A module
        there is named in an error, and not taken.
      trust_data: let the data's code run, see `tfft.data.sources.tfds`; otherwise that of modules
        in `allow` alone.

    Raises:
      ConfigError: what is wrong, where it was set, and what would be right.
    """
    reader, dropped = _Reader(Allowed(allow), configurables, folder), list[Binding]()
    notes: list[str] = []
    for file in files:
        before, reader.bindings = reader.bindings, []
        reader.earlier = before
        reader.read(find_config(file, pathlib.Path(), None))
        reader.bindings = [in_full(binding, reader.known) for binding in reader.bindings]
        gone = replaced_stages(before, reader.bindings, reader.known)
        dropped += gone
        notes += stage_notes(gone, reader.bindings, file)
        reader.bindings = [b for b in before if b not in gone] + reader.bindings
    notes += reader.notes
    named = flags_of(files, map(reader.allow.flag, reader.modules))
    see = f"tfft show {named}"
    bindings = reader.bindings
    for name, text in (overrides or {}).items():
        bindings = [
            *bindings,
            override(name, text, Composition(bindings, reader.known), single_value, see),
        ]
    if seed is not None:
        bindings = [*bindings, Binding("", ROOT, "seed", seed, Origin(f"--seed={seed}"))]
        notes += seed_notes(bindings)
    unreachable = made_unreachable(bindings, reader.reached, reader.known)
    notes += dropped_notes(unreachable, bindings, reader.known)
    bindings = [binding for binding in bindings if binding not in unreachable]
    dropped += unreachable
    composition = Composition(bindings, reader.known, dropped)
    if folder:
        bindings, moved = relocated(composition, bindings, folder)
        composition, notes = Composition(bindings, reader.known, dropped), [*notes, *moved]
    most = 1 if strict else MOST_MISTAKES
    wrong = tuple(itertools.islice(mistakes(composition, see), most))
    lacking = tuple(itertools.islice(missing(composition, see), most))
    for error in (*wrong, *lacking):
        error.from_command = True
    if strict and (wrong or lacking):
        raise [*wrong, *lacking][0]
    text = whole_text(composition, reader.modules)
    if strict:
        check_readable(text)
    settings = tuple(all_settings(composition))
    found = (named, tuple(files), settings, text, tuple(notes), wrong, lacking, composition)
    return Config(*found, trust_data=trust_data or tuple(reader.allow.entries))


class _Reader:
    """Reads files into bindings, includes first where they stand."""

    def __init__(
        self, allow: Allowed, objects: Mapping[str, Any] | None, folder: pathlib.Path | None
    ):
        self.allow, self.folder = allow, folder
        self.known = offered() if objects is None else of_objects(objects)
        self.bindings: list[Binding] = []
        self.earlier: list[Binding] = []  # of the files before this one
        self.reached: set[tuple[str, Origin]] = set()  # at the end of some file
        self.modules: list[str] = []
        self.notes: list[str] = []  # on the modules
        self.open: list[pathlib.Path] = []
        self.files, self.budget = 0, token_budget()

    def read(self, path: pathlib.Path, origin: Origin | None = None) -> None:
        if path.resolve() in self.open:
            chain = " -> ".join(shown(each) for each in (*self.open, path))
            raise ConfigError(f"configs include each other: {chain}.", set_in=str(origin))
        self.open.append(path.resolve())
        self.files += 1
        if self.files > MOST_FILES or len(self.open) > DEEPEST_INCLUDE:
            raise ConfigError(
                f"too many configs are included: {self.files}, {len(self.open)} deep.",
                set_in=str(origin),
                valid=f"{MOST_FILES} in all, {DEEPEST_INCLUDE} deep",
            )
        set_here: dict[str, Origin] = {}
        for statement in statements(path, origin, self.budget):
            self._take(statement, path, set_here)
        self.open.pop()
        self.reached |= reached_keys([*self.earlier, *self.bindings], self.known)

    def _take(self, statement: Any, path: pathlib.Path, set_here: dict[str, Origin]) -> None:
        origin = Origin(shown(path), statement.location.line_num)
        if isinstance(statement, config_parser.BindingStatement):
            binding = Binding(
                statement.scope, statement.selector, statement.arg_name, statement.value, origin
            )
            if binding.key in set_here:
                raise ConfigError(
                    f"{binding.key} is set twice in one file.",
                    set_in=f"{set_here[binding.key]} and {origin}",
                    valid="one of the two lines",
                )
            set_here[binding.key] = origin
            self.bindings.append(binding)
            if len(self.earlier) + len(self.bindings) > MOST_BINDINGS:
                raise ConfigError(
                    f"a config sets more than {MOST_BINDINGS:,} values.", set_in=str(origin)
                )
        elif isinstance(statement, config_parser.IncludeStatement):
            self.read(find_config(statement.filename, path.parent, origin), origin)
        elif isinstance(statement, config_parser.ImportStatement):
            self._import(statement, path)

    def _import(self, statement: config_parser.ImportStatement, path: pathlib.Path) -> None:
        """Takes note of a module's names; what it holds is imported when a run needs it."""
        module, origin = statement.module, Origin(shown(path), statement.location.line_num)
        refusal = ""
        if statement.alias:
            refusal = f"import {module}, under its own name"
        if not is_own(module) and not self.allow.covers(module):
            top = module.partition(".")[0]
            refusal = f"--allow_imports={top}, which runs its code; modules of {OWN} need no flag"
        if refusal:
            raise ConfigError(
                f"{statement.format()!r} is refused: a config executes no code of others.",
                set_in=str(origin),
                valid=refusal,
                see="tfft list",
            )
        beside = [path.parent, *([self.folder] if self.folder else [])]
        found = find_module(module, self.allow, beside, origin)
        if PACKAGE not in found.parents:
            self.modules.append(module)
            self.known |= of_module(found, module, self.known)
            digest = hashlib.sha256(found.read_bytes()).hexdigest()[:16]
            self.notes.append(f"{module} is {shown(found)}, SHA-256 {digest}")


class _Carried(BaseException):
    """Carries an error out of gin as it is; gin would replace its class and its text."""

    def __init__(self, error: Exception, use: Use):
        super().__init__(str(error))
        self.error, self.use = error, use


def _flat(part: Reference) -> Reference:
    """Returns a reference as gin gets it: always called, and without a dot.

    Gin takes a short name for any longer one that ends with it, of an earlier load too.
    """
    return Reference(part.name.replace(".", "__") + ITSELF * (not part.called), part.scope)


@contextlib.contextmanager
def _gin(
    uses: Sequence[Use], text: str, supplied: Mapping[str, Any]
) -> Iterator[Callable[[], dict[str, Any]]]:
    """Hands a text to gin; yields a function that makes the root's arguments.

    Args:
      uses: what the text has.
      text: in gin.
      supplied: arguments for all that have a parameter of the name.

    Gin keeps its configuration in module-level state, which is emptied before and restored after.
    """
    scopes: dict[str, dict[str, Use]] = {}
    for use in uses:
        named = _flat(Reference(use.target.name, called=use.called)).name
        scopes.setdefault(named, {})[use.scope] = use
    with _emptied_gin():
        with gin.config.interactive_mode():  # which lets a second config define the same names
            made = {name: _register(name, each, supplied) for name, each in scopes.items()}
        gin.parse_config(text)
        yield made[ROOT]


@contextlib.contextmanager
def _emptied_gin() -> Iterator[None]:
    """Empties gin's configuration, and restores that of a process that uses gin itself.

    Gin has no public function for this. Its registry of configurables is not restored.
    """
    state, locked = gin.config, gin.config.config_is_locked()
    names = ("_CONFIG", "_SINGLETONS", "_IMPORTS", "_OPERATIVE_CONFIG", "_CONSTANTS")
    kept = {name: getattr(state, name).copy() for name in names}
    gin.clear_config(clear_constants=True)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(state, name, value)
        state._set_config_is_locked(locked)


def _register(
    name: str, scopes: Mapping[str, Use], supplied: Mapping[str, Any]
) -> Callable[..., Any]:
    """Registers a function that imports and calls the target; the root's returns its arguments."""

    def make(**arguments: Any) -> Any:
        use = scopes["/".join(gin.current_scope())]
        arguments |= {key: supplied[key] for key in supplied.keys() & use.target.parameters.keys()}
        try:
            target = use.target.load()
            if use.called:
                return target(**arguments)
            return functools.partial(target, **arguments) if arguments else target
        except Exception as error:
            raise _Carried(error, use) from error

    def root(**arguments: Any) -> dict[str, Any]:
        return arguments

    return gin.external_configurable(root if name == ROOT else make, name, module="tfft")
