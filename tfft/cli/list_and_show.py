"""What there is to choose from, shown: without TensorFlow, but for KerasHub's own presets."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Mapping
from typing import Any

from tfft.argument_checks.annotations import describe
from tfft.config.catalog import Configurable, configurables, full_name
from tfft.config.includes import packaged
from tfft.config.load import Config
from tfft.config.operative_config import Setting
from tfft.config.strict_checks import settable
from tfft.errors import ConfigError, UserError, near
from tfft.storage.cache_store import told
from tfft.storage.downloads import fetch

PARTS = ("method", "schedule", "optimizer", "regularizer", "averaging")
SHOWN_WORDS = 90  # characters of a preset's description


def overview(say: Any) -> None:
    """Shows tasks, models, configs, parts of a stage and datasets."""
    known = configurables().values()
    tasks = [(entry.name, entry.about) for entry in known if entry.kind == "task"]
    bodies = [(f"@{entry.name}()", entry.about) for entry in known if entry.kind == "backbone"]
    sources = [(f"@{entry.name}()", entry.about) for entry in known if entry.kind == "source"]
    parts = [
        (f"@{entry.name}()", f"{entry.kind}: {entry.about}")
        for entry in known
        if entry.kind in PARTS
    ]
    models = [row for row in _configs() if row[0].startswith("models/")]
    configs = [row for row in _configs() if not row[0].startswith("models/")]
    say.table("Tasks", ["name", "what"], tasks, result=True)
    say.table("Models", ["name", "what"], [*models, *_items("weights"), *bodies], result=True)
    say.table("Configs", ["--gin_file=", "what"], configs, result=True)
    say.table("Parts of a stage", ["name", "what"], parts, result=True)
    say.table("Datasets", ["name", "what"], [*_items("data"), *sources], result=True)
    say.info("more: tfft show NAME, tfft show --gin_file=CONFIG, tfft list presets [WORD]")


def _configs() -> list[tuple[str, str]]:
    """Returns the packaged configs with the first line of their headers."""
    paths = sorted(packaged().rglob("*.gin"))
    return [(str(path.relative_to(packaged())), _header(path)) for path in paths]


def _header(path: pathlib.Path) -> str:
    return path.read_text("utf-8").partition("\n")[0].lstrip("# ")


def _items(kind: str) -> list[tuple[str, str]]:
    """Returns what can be fetched, and whether it was."""
    return [
        (name, f"{item.about}; {_state(name)}")
        for name, item in fetch.ITEMS.items()
        if item.kind == kind
    ]


def _state(name: str) -> str:
    try:
        fetch.path(name)
    except UserError:
        return f"tfft fetch {name}"
    return "fetched"


def presets(words: list[str], say: Any) -> None:
    """Shows KerasHub's presets that have all the words in their name or description.

    Raises:
      ConfigError: none has.
    """
    from tfft.backbones.presets import presets as published

    every = list(published())
    found = [p for p in every if all(w.lower() in f"{p}".lower() for w in words)]
    if not found:
        raise ConfigError(
            f"no preset has {' and '.join(map(repr, words))}.",
            valid=near(words[0], [preset.name for preset in every], 5),
            see="tfft list presets",
        )
    rows = [
        (p.name, p.architecture, _millions(p.parameters), p.languages, _short(p.description))
        for p in found
    ]
    columns = ["--gin.MODEL=", "body", "parameters", "languages", "what"]
    say.table(f"{len(found)} of {len(every)} presets", columns, rows, result=True)


def _millions(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:,.1f} M"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_WORDS else text[: SHOWN_WORDS - 4] + " ..."


def configurable(name: str, say: Any, known: Mapping[str, Configurable] | None = None) -> None:
    """Shows what a class or function takes.

    Args:
      name: of it.
      say: the console.
      known: what a config can name; by default what the package offers.

    Raises:
      ConfigError: there is none of that name.
    """
    known = configurables() if known is None else known
    name = full_name(name, known)
    if name not in known:
        is_file = name.endswith(".gin")
        raise ConfigError(
            f"nothing is called {name!r}.",
            valid=f"--gin_file={name}" if is_file else near(name, known),
            see=f"tfft show --gin_file={name}" if is_file else "tfft list",
        )
    entry = known[name]
    meanings = entry.meanings()
    rows = [
        (
            parameter.name,
            "required" if parameter.default is None else parameter.default,
            describe(parameter.annotation or "Any"),
            meanings.get(parameter.name, ""),
        )
        for parameter in entry.parameters.values()
        if parameter.name in settable(entry)
    ]
    title = f"{name}: {entry.about} ({entry.where})"
    say.table(title, ["parameter", "default", "valid", "meaning"], rows, result=True)


def settings(config: Config, say: Any) -> None:
    """Shows each value of a config and where it was set."""
    rows = [(setting.name, _value(setting), setting.where) for setting in config.settings]
    say.table(", ".join(config.files), ["setting", "value", "set in"], rows, result=True)
    for lacking in config.missing:
        say.info(f"to be set: {lacking.problem} ({lacking.valid})")


def _value(setting: Setting) -> str:
    if not setting.value:
        return "required" if "." in setting.name else f"required: --gin.{setting.name}=VALUE"
    if setting.value == f"%{setting.macro}":
        return f"required  ({setting.value})"
    return f"{setting.value}  (%{setting.macro})" if setting.macro else setting.value


def store(kept: Any, say: Any) -> None:
    """Shows what the store holds, the last used first."""
    entries = kept.entries()
    rows = [
        [
            entry.name,
            entry.about.get("title", ""),
            f"{entry.about['shape'][0]:,}" if "shape" in entry.about else "",
            told(entry.size),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used)),
            "complete" if entry.complete else "partial",
        ]
        for entry in entries
    ]
    if rows:
        say.table(
            f"Store: {kept.folder}",
            ["name", "what", "rows", "size", "last used", "state"],
            rows,
            result=True,
        )
    size = sum(entry.size for entry in entries)
    say.result(f"{len(rows)} entries, {told(size)} of at most {told(kept.limit)} in {kept.folder}")
