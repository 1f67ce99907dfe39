"""What a later file or flag leaves without a use: it is dropped, and a note says so.

What nothing ever used stays, and is a mistake (`tfft.config.strict_checks`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tfft.config.bindings import (
    DEFAULT,
    ROOT,
    Binding,
    Composition,
    Origin,
    in_full,
    references,
)
from tfft.config.catalog import Configurable
from tfft.errors import ConfigError

STAGES = f"{ROOT}.stages"
MOST_NAMED = 4  # bindings in one note
LONGEST_VALUE = 60  # characters


def reached_keys(
    bindings: Sequence[Binding], known: Mapping[str, Configurable]
) -> set[tuple[str, Origin]]:
    """Returns the keys and origins of the bindings that a run would use; none of a circle."""
    try:
        composition = Composition([in_full(binding, known) for binding in bindings], known)
        return {(bound.key, bound.origin) for bound in _used(composition)}
    except ConfigError:
        return set()


def replaced_stages(
    before: Sequence[Binding], after: Sequence[Binding], known: Mapping[str, Configurable]
) -> list[Binding]:
    """Returns what earlier files say of their stages, when a later file brings its own.

    Files that name no stages have none: what they set holds for the stages of the later file.

    Args:
      before: the bindings of the earlier files.
      after: those of the later file.
      known: configurables by name.
    """
    if not all(any(binding.key == STAGES for binding in each) for each in (before, after)):
        return []
    uses = Composition([*before], known).uses(only=("stages",))
    names = {use.target.name for use in uses}
    return [binding for binding in before if binding.name in names - {ROOT}]


def stage_notes(gone: Sequence[Binding], after: Sequence[Binding], file: str) -> list[str]:
    """Returns a line that names the settings of replaced stages that the later file lacks.

    Args:
      gone: what `replaced_stages` returned.
      after: the bindings of the later file.
      file: its name.
    """
    again = {(binding.name, binding.parameter) for binding in after}
    lost = [_told(each) for each in gone if (each.name, each.parameter) not in again]
    if not lost:
        return []
    named, further = lost[:MOST_NAMED], len(lost) - MOST_NAMED
    if further > 0:
        named.append(f"{further} more")
    text = " and ".join(filter(None, [", ".join(named[:-1]), named[-1]]))
    verb = "is" if len(lost) == 1 else "are"
    return [f"{file} has its own stages: {text} {verb} dropped"]


def made_unreachable(
    bindings: Sequence[Binding],
    reached: set[tuple[str, Origin]],
    known: Mapping[str, Configurable],
) -> list[Binding]:
    """Returns the bindings that a run would have used, had a later file or flag not come.

    Args:
      bindings: all of them, in the order in which they were read.
      reached: keys and origins of those that a run would have used at the end of some file.
      known: configurables by name.
    """
    now = reached_keys(bindings, known)
    lost = reached - now if now else set()  # of a circle, which is an error
    last = {binding.key: binding for binding in bindings if binding.parameter}
    return [b for b in last.values() if (b.key, b.origin) in lost and b.name != ROOT]


def dropped_notes(
    gone: Sequence[Binding], bindings: Sequence[Binding], known: Mapping[str, Configurable]
) -> list[str]:
    """Returns a line for each binding that became unreachable, with what took its use.

    Args:
      gone: what `made_unreachable` returned.
      bindings: all of them, in the order in which they were read.
      known: configurables by name.
    """
    if not gone:
        return []
    composition = Composition([*bindings], known)
    users = {use.target.name for use in composition.uses()}
    notes = []
    for binding in gone:
        cause = _cause(binding, bindings, composition)
        if binding.name in users:
            why = f"every use of {binding.name} sets its own or has another scope"
        elif cause is None:
            why = f"nothing uses {binding.name} any more"
        else:
            what = _told(cause) if cause.origin.line else str(cause.origin)
            why = f"nothing uses {binding.name} with {what}"
        notes.append(f"{_told(binding)} is dropped: {why}")
    return notes


def seed_notes(bindings: Sequence[Binding]) -> list[str]:
    """Returns a line when the last binding, the flag `--seed`, replaces the seed of a file."""
    replaced = {binding.key: binding for binding in bindings[:-1]}.get(f"{ROOT}.seed")
    if replaced is None:
        return []
    return [f"{bindings[-1].origin} replaces {ROOT}.seed = {replaced.value!r} of {replaced.origin}"]


def _used(composition: Composition) -> Iterator[Binding]:
    """Yields the bindings that a run uses; defaults are none."""
    for use in composition.uses():
        yield from (bound for bound in use.bindings.values() if bound.origin != DEFAULT)


def _cause(gone: Binding, bindings: Sequence[Binding], composition: Composition) -> Binding | None:
    """Returns the binding in whose place another one, or a default, referred to what is gone."""
    known = composition.configurables
    used = {id(bound): bound for bound in _used(composition)}
    for now in used.values():
        parameter = known[now.name].parameters.get(now.parameter)
        before = set(parameter.made_by if parameter else ())
        for old in bindings:
            same = (old.name, old.parameter) == (now.name, now.parameter)
            if same and id(old) not in used:
                before |= _referred(old, composition)
        left = before - _referred(now, composition)
        if any(gone.name in (name, *known[name].bases) for name in left if name in known):
            return now
    return None


def _referred(binding: Binding, composition: Composition) -> set[str]:
    return {part.name for part in references(composition.resolve(binding.value))}


def _told(binding: Binding) -> str:
    """Returns a binding with its place, as a note shows it."""
    value = repr(binding.value)
    if len(value) > LONGEST_VALUE:
        value = f"{value[: LONGEST_VALUE - 4]} ..."
    return f"{binding.key} = {value} ({binding.origin})"
