"""What gin would accept without a word and a run would not survive, or worse, would.

Six silent mistakes: a typo in a macro, a typo in a scope, a binding that nothing uses, an argument
that the command line supplies, a value of the wrong type, and a class passed without parentheses.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfft.argument_checks.annotations import accepts, describe, names_in, options
from tfft.argument_checks.renamed_arguments import new_place
from tfft.config.bindings import (
    ROOT,
    Binding,
    Composition,
    Macro,
    Reference,
    Use,
    levels,
    macro_names,
    parts,
    references,
    shortened,
    written,
)
from tfft.config.catalog import Configurable
from tfft.errors import ConfigError, near

# The root's arguments that no config sets, and the flag that does.
SUPPLIED = {
    "workdir": "--workdir=FOLDER",
    "strategy": "--strategy=NAME",
    "config_text": "",
    "say": "",
    "part": "",
}
# Arguments of any source, of the command line alone.
FLAGS_ONLY = {"trust_data": "--trust_data"}
# The kind of thing that an argument of the root is made of.
TAKES = {"task": "task", "backbone": "backbone", "source": "source", "stages": "stage"}
KIND_WORDS = {"averaging": "average"}
SEQUENCES = {"tuple", "list", "Sequence"}
MOST_UNSET = 20  # macros without a value that are compared with those that have one


def mistakes(composition: Composition, see: str) -> Iterator[ConfigError]:
    """Yields what is wrong, in the order in which it is best mended.

    Args:
      composition: the whole config.
      see: the command that shows it.
    """
    for binding in composition.bindings.values():
        yield from _check_target(binding, composition, see)
    for binding in (*composition.macros.values(), *composition.bindings.values()):
        yield from _check_references(binding, composition)
    yield from _check_macros(composition, see)
    for binding in composition.bindings.values():
        yield from _check_value(binding, composition)
    yield from _check_reach(composition, see)


def missing(composition: Composition, see: str) -> Iterator[ConfigError]:
    """Yields what a run needs and neither a file nor a flag gives.

    Args:
      composition: the whole config.
      see: the command that shows it.
    """
    for error, is_typo in _unset_macros(composition, see):
        if not is_typo:
            yield error
    for use in composition.uses():
        for name in settable(use.target) if use.called else ():
            if use.target.parameters[name].default is None and name not in use.bindings:
                yield _unset_parameter(use, name, composition)


def _unset_macros(composition: Composition, see: str) -> Iterator[tuple[ConfigError, bool]]:
    """Yields an error for each macro without a value, and whether another name was meant."""
    found: dict[str, Binding] = {}
    for binding in (*composition.bindings.values(), *composition.macros.values()):
        for name in sorted(macro_names(binding.value) - composition.macros.keys()):
            found.setdefault(name, binding)
    for name, binding in itertools.islice(found.items(), MOST_UNSET):
        meant = difflib.get_close_matches(name, composition.macros, 1, 0.75)
        error = ConfigError(
            f"%{name} has no value, and {binding.key} needs one.",
            set_in=str(binding.origin),
            valid="".join(f"%{other}, or " for other in meant) + f"set it with --gin.{name}=VALUE",
            see=see,
        )
        yield error, bool(meant)


def _unset_parameter(use: Use, parameter: str, composition: Composition) -> ConfigError:
    kind = TAKES.get(parameter) if use.target.name == ROOT else None
    names = [name for name, entry in composition.configurables.items() if entry.kind == kind]
    example = f"@{names[0]}()" if kind and names else "VALUE"
    if kind and len(names) > 1:
        example += f", or another {kind}: {', '.join(names[1:])}"
    return ConfigError(
        f"{use.key}.{parameter} is not set, and it has no default.",
        valid=f"{use.key}.{parameter} = {example}",
        see="tfft list" if kind else _see(use.target.name, composition),
    )


def _check_target(binding: Binding, composition: Composition, see: str) -> Iterator[ConfigError]:
    target = composition.configurables.get(binding.name)
    where = str(binding.origin)
    if target is None:
        yield _unknown(binding.name, where, composition)
    elif binding.parameter in _supplied(target):
        flag = _supplied(target)[binding.parameter]
        yield ConfigError(
            f"{binding.key} is given by the command line; a value in a config would be ignored.",
            set_in=where,
            valid=flag or "leave it out",
            see=see,
        )
    elif binding.parameter not in target.parameters:
        yield ConfigError(
            f"{binding.name} has no parameter {binding.parameter!r}.",
            set_in=where,
            valid=new_place(binding.name, binding.parameter)
            or near(binding.parameter, settable(target)),
            see=_see(binding.name, composition),
        )


def settable(target: Configurable) -> list[str]:
    """Returns the parameters of a configurable that a config may set."""
    return [name for name in target.parameters if name not in _supplied(target)]


def _supplied(target: Configurable) -> Mapping[str, str]:
    return {"verb": SUPPLIED, "source": FLAGS_ONLY}.get(target.kind, {})


def _unknown(name: str, where: str, composition: Composition) -> ConfigError:
    known = composition.configurables
    several = [full for full in known if full.endswith(f".{name}")]
    short = {full.rpartition(".")[2] for full in known}
    kind = [each for each, entry in known.items() if entry.kind == name.lower()]
    nearest = _one_of(kind, known) if kind else near(name, short if "." not in name else known)
    return ConfigError(
        f"nothing is called {name!r}." if not several else f"{name!r} is {len(several)} things.",
        set_in=where,
        valid=" or ".join(several) or nearest,
        see="tfft list",
    )


def _check_references(binding: Binding, composition: Composition) -> Iterator[ConfigError]:
    for reference in references(binding.value):
        if reference.name not in composition.configurables:
            yield _unknown(reference.name, str(binding.origin), composition)


def _annotation(binding: Binding, composition: Composition) -> str | None:
    target = composition.configurables.get(binding.name)
    parameter = target.parameters.get(binding.parameter) if target else None
    return parameter.annotation if parameter else None


def expectations(macro: str, composition: Composition) -> list[str]:
    """Returns the annotations of the parameters whose whole value is this macro."""
    found: list[str] = []
    for binding in composition.bindings.values():
        value, seen = binding.value, set()
        while isinstance(value, Macro) and value.name not in seen:
            seen.add(value.name)
            below = composition.macros.get(value.name)
            value = below.value if below else None
        annotation = _annotation(binding, composition)
        if macro in seen and annotation is not None:
            found.append(annotation)
    return found


def _check_macros(composition: Composition, see: str) -> Iterator[ConfigError]:
    for error, is_typo in _unset_macros(composition, see):
        if is_typo:
            yield error
    values = [*composition.bindings.values(), *composition.macros.values()]
    used = {name for binding in values for name in macro_names(binding.value)}
    # A file's macro has its use where a later file replaced the binding; a flag's has none then.
    replaced = {name for binding in composition.replaced for name in macro_names(binding.value)}
    for name, binding in composition.macros.items():
        if name not in used and not (name in replaced and binding.origin.line):
            yield ConfigError(
                f"nothing uses the macro {name}{_replacement(name, composition)}.",
                set_in=str(binding.origin),
                valid=near(name, used) if used else "remove it",
                see=see,
            )


def _replacement(macro: str, composition: Composition) -> str:
    """Returns why a macro has lost its use: the line that sets the parameter directly."""
    for binding in composition.replaced:
        if macro in macro_names(binding.value):
            now = composition.bindings.get(binding.key)
            if now is None:
                return f": {binding.key}, which read it, is dropped"
            return f": {now.origin} sets {binding.key} = {shortened(written(now.value))} directly"
    return ""


def _check_value(binding: Binding, composition: Composition) -> Iterator[ConfigError]:
    value = composition.resolve(binding.value)
    source = composition.source_of(binding)
    through = "" if source is binding else f", from %{source.key},"
    annotation = _annotation(binding, composition)
    passed = [part for part in references(value) if not part.called]
    if passed and not ("Callable" in (annotation or "") and accepts(annotation, value)):
        yield _passed_itself(binding, passed[0], composition)
        return
    wrong = _wrong_kind(binding, value, composition)
    if not wrong and not accepts(annotation, value):
        wrong = describe(annotation or "Any")
    if wrong:
        yield ConfigError(
            f"{binding.key} = {shortened(written(value))}{through} is of the wrong type.",
            set_in=str(source.origin),
            valid=wrong,
            see=_see(binding.name, composition),
        )


def _passed_itself(binding: Binding, part: Reference, composition: Composition) -> ConfigError:
    return ConfigError(
        f"{binding.key} = {shortened(written(binding.value))} passes {part.name} itself, not what "
        "it makes.",
        set_in=str(composition.source_of(binding).origin),
        valid=f"{part!r}()",
        see=_see(part.name, composition),
    )


def _see(name: str, composition: Composition) -> str:
    """Returns the command that shows what a configurable takes, or where a person's own one is."""
    target = composition.configurables.get(name)
    return target.where if target and target.module else f"tfft show {name}"


def _wrong_kind(binding: Binding, value: Any, composition: Composition) -> str:
    """Returns what would be valid where an argument is not made of its kind of object."""
    known, root = composition.configurables, binding.name == ROOT
    if root:
        kinds = {TAKES[binding.parameter]} if binding.parameter in TAKES else set()
    else:
        names = {name.lower() for name in names_in(_annotation(binding, composition) or "Any")}
        kinds = names & ({entry.kind for entry in known.values()} - {"", "base", "verb"})
    fits = [name for name, entry in known.items() if entry.kind in kinds]
    found = [part for part in parts(value) if not isinstance(part, list | tuple | Macro)]
    accepted = root or accepts(_annotation(binding, composition), value)
    if not root:
        found = [part for part in found if isinstance(part, Reference) and part.called]
    # A person's own function says nothing of what it makes.
    taken = [*fits, *(name for name, entry in known.items() if _is_open(entry))]
    fitting = all(isinstance(part, Reference) and part.name in taken for part in found)
    if not fits or fitting and accepted:
        return ""
    if root:
        return _one_of(fits, known)
    return _in_containers(binding, value, fits, composition)


def _one_of(names: Sequence[str], known: Mapping[str, Configurable]) -> str:
    """Returns configurables of the same kind as text: "a schedule: @Constant(), @Linear()"."""
    kind = " or ".join(sorted({known[name].kind for name in names}))
    kind = KIND_WORDS.get(kind, kind)
    listed = ", ".join(f"@{name}()" for name in names)
    if [name.lower() for name in names] == [kind]:  # the kind has one class, with the same name
        return listed
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}: {listed}"


def _in_containers(
    binding: Binding, value: Any, fits: Sequence[str], composition: Composition
) -> str:
    """Returns which objects an argument can be made of, and in which brackets."""
    types = options(_annotation(binding, composition) or "Any")
    if isinstance(value, Reference) and value.name in fits and types & SEQUENCES:
        return f"({value!r},)"
    each = "a list in brackets, each " * bool(types & SEQUENCES)
    each += "a dict in braces, each value " * ("Mapping" in types)
    return each + _one_of(fits, composition.configurables) + " or None" * ("None" in types)


def _is_open(entry: Configurable) -> bool:
    return bool(entry.module) and not entry.kind


def _check_reach(composition: Composition, see: str) -> Iterator[ConfigError]:
    uses = composition.uses()
    reached = {binding.key for use in uses for binding in use.bindings.values()}
    scopes = {use.scope for use in uses} | {
        reference.scope
        for binding in composition.bindings.values()
        for reference in references(composition.resolve(binding.value))
    }
    outer = {level for scope in scopes for level in levels(scope)} - {""}
    names = {use.target.name for use in uses}
    has_task = f"{ROOT}.task" in composition.bindings
    for binding in composition.bindings.values():
        target = composition.configurables.get(binding.name)
        if binding.key in reached or target is None:
            continue
        if target.kind == "base" and not has_task:
            continue  # a recipe by itself: which task it meets is open
        if binding.scope and binding.scope not in outer:
            yield ConfigError(
                f"no reference has the scope {binding.scope!r}.",
                set_in=str(binding.origin),
                valid=near(binding.scope, outer) if outer else "no scope: there is none here",
                see=see,
            )
        else:
            yield ConfigError(
                f"nothing uses {binding.key}: {_why_unused(binding, names, composition)}.",
                set_in=str(binding.origin),
                valid=f"remove it, or {_how_used(binding, uses, composition)}",
                see=see,
            )


def _how_used(binding: Binding, uses: Sequence[Use], composition: Composition) -> str:
    """Returns what would make a run use a configurable, of which something is set."""
    name = binding.name
    heirs = _heirs(name, composition)
    if heirs:
        return f"a task of {heirs}"
    kind = composition.configurables[name].kind
    others = [use for use in uses if use.target.name != ROOT]
    if any(use.target.name == name for use in others) or not kind:
        return f"refer to @{name}() from {ROOT}"
    for use in others:
        for parameter in use.target.parameters.values():
            annotation = parameter.annotation or "Any"
            if kind not in map(str.lower, names_in(annotation)):
                continue
            value: Any = Reference(name)
            if options(annotation) & SEQUENCES:
                bound = use.bindings.get(parameter.name)
                there = composition.resolve(bound.value) if bound else ()
                value = (*(there if isinstance(there, list | tuple) else ()), value)
            return f"{use.key}.{parameter.name} = {value!r}"
    return f"refer to @{name}() from {ROOT}"


def _heirs(name: str, composition: Composition) -> str:
    """Returns the names of what inherits from a base class, "" for what is no base class."""
    known = composition.configurables
    return ", ".join(entry for entry, target in known.items() if name in target.bases)


def _why_unused(binding: Binding, names: set[str], composition: Composition) -> str:
    if composition.configurables[binding.name].kind == "base":
        kinds = {name: composition.configurables[name].kind for name in sorted(names)}
        tasks = ", ".join(name for name, kind in kinds.items() if kind == "task")
        return f"{tasks or 'its task'} does not inherit from {binding.name}"
    if binding.name in names:
        return f"every use of {binding.name} sets its own or has another scope"
    return f"no reference leads from {ROOT} to {binding.name}"
