"""The command line, read strictly: what a verb would ignore is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from tfft.argument_checks.validated import SEED
from tfft.errors import ConfigError, near

STRATEGIES = ("auto", "default", "mirrored", "tpu")
ALWAYS = ("verbose", "quiet")
LONGEST = 80  # characters of a value in an error

GUIDE = """\
tfft fine-tunes pretrained Keras models. From nothing to a served model in six steps:

  1  tfft list                                      what there is: tasks, models, configs, data
     tfft fetch minilm_l6 movie_reviews             weights and data to begin with
  2  tfft show     --gin_file=quick/text.gin        each value, and the line that sets it
  3  tfft check    --gin_file=quick/text.gin --gin.DATA=reviews.csv
                                                    one step of each stage: cost, or what to mend
  4  tfft train    --gin_file=quick/text.gin --gin.DATA=reviews.csv --workdir=out
                                                    stop it and run it again: it continues
  5  tfft evaluate --workdir=out                    on texts that training has not seen
     tfft predict  --workdir=out --input=new.csv --output=predictions.jsonl
  6  tfft export   --workdir=out                    a SavedModel that takes raw text

A finished example: tfft train --gin_file=results/movie_reviews.gin --workdir=runs/movie_reviews
"""


class Options(NamedTuple):
    """A command line once it is read."""

    flags: flags.FlagValues
    overrides: dict[str, str]
    words: list[str]


class Verb(NamedTuple):
    """What a verb does and which flags mean something to it.

    Attributes:
      run: Does it; returns an exit status.
      about: A line for the reference.
      flags: Names of the flags that it takes.
      words: Its other arguments, for the reference.
      no_config: Why it takes no `--gin.NAME`, for a verb without `--gin_file`.
      see: The command that helps instead.
    """

    run: Callable[[Options, Any], int | None]
    about: str
    flags: tuple[str, ...] = ()
    words: str = ""
    no_config: str = "the run's own config holds"
    see: str = "tfft"


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    text = [
        ("workdir", None, "the folder of a run"),
        ("strategy", "auto", ", ".join(STRATEGIES)),
        ("input", None, "a file with texts; - for standard input"),
        ("output", "-", "where predictions go; - for standard output"),
        ("columns", None, "columns of the input: text=COLUMN,label=COLUMN; those of training"),
        ("on_error", "fail", "fail, or skip rows of the input that cannot be read"),
    ]
    for name, default, about in text:
        flags.DEFINE_string(name, default, about, flag_values=values)
    flags.DEFINE_multi_string("gin_file", [], "a config; the later ones win", flag_values=values)
    about = "own modules, or paths of them, that a config may import, which runs their code"
    flags.DEFINE_list("allow_imports", [], about, flag_values=values)
    flags.DEFINE_integer("seed", None, "of all that is random", flag_values=values)
    switches = [
        ("force", None, "replace an existing output"),
        ("trust_data", None, "run code that data name, read files outside of a table's folder"),
        ("trust_export", None, "load an export whose operations may do anything"),
        ("shared", None, "compare on the texts that all runs share"),
        ("unfinished", None, "use the best weights so far of a run that never finished"),
        ("quiet", None, "results and warnings only"),
        ("verbose", "v", "TensorFlow's own log, too"),
    ]
    for name, short, about in switches:
        flags.DEFINE_boolean(name, False, about, short_name=short, flag_values=values)
    about = "output rows hold the columns of the input, or with --noinclude_input do not"
    flags.DEFINE_boolean("include_input", None, about, flag_values=values)
    return values


def read(arguments: Sequence[str], verbs: Mapping[str, Verb]) -> tuple[Verb, Options]:
    """Returns the verb and the options of a command line.

    Args:
      arguments: without the program's name.
      verbs: by name.

    Raises:
      ConfigError: it cannot be what was meant.
    """
    for argument in arguments:
        _refuse_unwritable(argument)
    plain, overrides = _overrides(arguments)
    values = _flags()
    try:
        words = values(["tfft", *plain])[1:]
    except flags.UnrecognizedFlagError as error:
        raise ConfigError(
            f"there is no flag --{error.flagname}.",
            valid=near(error.flagname, [*_names(values), "gin.NAME"]),
            see="tfft",
        ) from None
    except flags.Error as error:
        raise _illegal(str(error), values) from None
    name = words[0] if words else ""
    if name not in verbs:
        problem = f"there is no command {name!r}." if name else "the command is missing."
        raise ConfigError(problem, valid=near(name, verbs), see="tfft")
    options = Options(values, overrides, list(words[1:]))
    _refuse_misplaced(name, verbs[name], options)
    return verbs[name], options


def _refuse_unwritable(argument: str) -> None:
    """Refuses an argument that is not UTF-8: it could not be kept in a run's config."""
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError as error:
        shown = argument.encode("utf-8", "backslashreplace").decode("ascii", "replace")
        raise ConfigError(
            f"the argument {shown} is not UTF-8.", valid="names in UTF-8, in files too", see="tfft"
        ) from error


def _illegal(problem: str, values: flags.FlagValues) -> ConfigError:
    """Returns absl's error about a flag's value in our form."""
    found = re.search(r"flag --(?:no)?(\w+)(=.*?)?[:\s]", problem, re.IGNORECASE)
    if not found or found[1] not in values:
        return ConfigError(problem, valid="--NAME=VALUE", see="tfft")
    kinds = {"int": f"--{found[1]}=NUMBER", "bool": f"--{found[1]}, without a value"}
    valid = kinds.get(values[found[1]].flag_type(), f"--{found[1]}=VALUE")
    value = (found[2] or "")[:LONGEST]
    return ConfigError(
        f"--{found[1]}{value} is not a value that this flag takes.", valid=valid, see="tfft"
    )


def _names(values: flags.FlagValues) -> list[str]:
    return sorted({values[name].name for name in values})


def _overrides(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Splits --gin.NAME=VALUE from the other arguments."""
    plain: list[str] = []
    found: dict[str, str] = {}
    for argument in arguments:
        if not re.match(r"--?gin\.", argument):
            plain.append(argument)
            continue
        name, equals, value = argument.partition("gin.")[2].partition("=")
        if not equals or not name:
            raise ConfigError(f"{argument} has no value.", valid="--gin.NAME=VALUE", see="tfft")
        if name in found:
            raise ConfigError(
                f"--gin.{name} is given twice: {found[name]!r} and {value!r}.", valid="once"
            )
        found[name] = value
    return plain, found


def _refuse_misplaced(name: str, verb: Verb, options: Options) -> None:
    """Refuses what the verb would ignore, and a strategy that there is not."""
    for flag in _names(options.flags):
        given = options.flags[flag].present
        if given and flag not in (*verb.flags, *ALWAYS):
            known = [f"--{each}" for each in (*verb.flags, *ALWAYS)]
            raise ConfigError(f"tfft {name} takes no --{flag}.", valid=", ".join(known), see="tfft")
        if given > 1 and flag != "gin_file":
            raise ConfigError(f"--{flag} is given {given} times.", valid="once")
        if given:
            _refuse_value(flag, options.flags[flag].value)
    if options.overrides and "gin_file" not in verb.flags:
        first = next(iter(options.overrides))
        raise ConfigError(f"tfft {name} takes no --gin.{first}: {verb.no_config}.", see=verb.see)
    if options.words and not verb.words:
        raise ConfigError(f"tfft {name} takes no {options.words[0]!r}.", see="tfft")
    if any(not word.strip() for word in options.words):
        raise ConfigError(f"tfft {name} got an empty name.", valid=verb.words, see="tfft")
    if options.flags.strategy not in STRATEGIES:
        raise ConfigError(
            f"--strategy={options.flags.strategy} does not exist.",
            set_in="--strategy",
            valid=f"{', '.join(STRATEGIES)}; several machines are planned",
        )


def _refuse_value(flag: str, value: Any) -> None:
    """Refuses an empty text or list, and a seed out of range."""
    texts = value if isinstance(value, list) else [value]
    if not texts or any(isinstance(text, str) and not text.strip() for text in texts):
        raise ConfigError(f"--{flag} is empty.", valid=f"--{flag}=VALUE", see="tfft")
    if flag == "seed" and not SEED.is_met(value):
        # Python writes very large numbers in hexadecimal digits alone.
        digits = str(value) if abs(value) < 2**128 else f"{value:#x}"[:LONGEST]
        raise ConfigError(
            f"--seed={digits} is out of range.",
            set_in="--seed",
            valid=f"a whole number, {SEED}",
        )


def reference(verbs: Mapping[str, Verb]) -> str:
    """Returns all verbs and flags as text."""
    values = _flags()
    rows = [f"  {f'{name} {verb.words}':<24} {verb.about}" for name, verb in verbs.items()]
    about = {name: str(values[name].help).partition(";\n")[0] for name in _names(values)}
    shown = [f"  --{name:<22} {text}" for name, text in about.items()]
    override = f"  --{'gin.NAME=VALUE':<22} a macro or a parameter of the config"
    return "\n".join(["Commands:", *rows, "", "Flags:", *shown, override, ""])
