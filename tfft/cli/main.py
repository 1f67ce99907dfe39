"""The command `tfft`: verbs and flags, nothing else."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from typing import Any

from absl import app, logging

from tfft.cli import list_and_show, process_faults
from tfft.cli.command_config import (
    config_of_flags,
    config_of_run,
    is_export,
    refuse_path,
    required_path,
)
from tfft.cli.flags import GUIDE, Options, Verb, read, reference
from tfft.cli.library_messages import routed
from tfft.config import load
from tfft.errors import ConfigError, UserError
from tfft.reports.console import Console, print_error
from tfft.reports.printable import printable
from tfft.runs import signals
from tfft.storage.downloads import fetch


def _list(options: Options, say: Console) -> None:
    kind, *words = options.words or [""]
    if kind == "presets":
        with _hushed():
            list_and_show.presets(words, say)
    elif kind:
        raise ConfigError(f"there is no list of {kind!r}.", valid="tfft list, tfft list presets")
    else:
        list_and_show.overview(say)


def _show(options: Options, say: Console) -> int:
    if options.words and not options.flags.gin_file:
        for name in options.words:
            list_and_show.configurable(name, say)
        return 0
    found = config_of_flags(options, say, strict=False)
    for name in options.words:
        list_and_show.configurable(name, say, found.composition.configurables)
    list_and_show.settings(found, say)
    for mistake in found.mistakes:
        print_error(f"tfft: {mistake}")
    return 2 if found.mistakes else 0


def _check(options: Options, say: Console) -> None:
    found = config_of_flags(options, say)
    with _strategy(found, options, say) as run:
        workdir = options.flags.workdir
        run.check(**found.kwargs(), workdir=workdir, config_text=found.text, say=say)


def _train(options: Options, say: Console) -> None:
    workdir = required_path(options, "workdir", "out")
    found = config_of_flags(options, say)
    with _strategy(found, options, say) as run:
        run.train(**found.kwargs(), workdir=workdir, config_text=found.text, say=say)


def _evaluate(options: Options, say: Console) -> None:
    workdir = required_path(options, "workdir", "out")
    if _is_export(workdir, options):
        given = required_path(options, "input", "new.csv")
        _refuse_unfinished(options)
        run = _library(say)
        trusted = {name: options.flags[name].value for name in ("trust_data", "trust_export")}
        run.evaluate_export(workdir, input=given, **_columns(options), **trusted, say=say)
        return
    found = config_of_run(workdir, options, say)
    if options.flags.columns and not options.flags.input:
        required_path(options, "input", "new.csv")
    run = _library(say)
    with _explained(found):
        run.evaluate(
            **found.kwargs(only=("task", "backbone", "slices")),
            workdir=workdir,
            source=lambda: found.kwargs(only=("source",))["source"],
            input=options.flags.input,
            columns=found.value("files.columns") or (),
            **_columns(options),
            trust_data=options.flags.trust_data,
            unfinished=options.flags.unfinished,
            say=say,
        )


def _predict(options: Options, say: Console) -> None:
    workdir = required_path(options, "workdir", "out")
    columns = _columns(options)
    if columns["label"] is not None:
        raise ConfigError(
            f"--columns={options.flags.columns} names a column of labels, which predict does not "
            "read.",
            set_in="--columns",
            valid="the columns of the inputs: --columns=text=COLUMN",
        )
    files = {
        "input": required_path(options, "input", "new.csv"),
        "output": options.flags.output,
        "force": options.flags.force,
        "text": columns["text"],
        "on_error": options.flags.on_error,
        "include_input": options.flags.include_input,
        "trust_data": options.flags.trust_data,
    }
    if _is_export(workdir, options):
        _refuse_unfinished(options)
        trusted = options.flags.trust_export
        _library(say).predict_export(workdir, **files, trust_export=trusted, say=say)
        return
    found = config_of_run(workdir, options, say)
    run = _library(say)
    with _explained(found):
        body = found.kwargs(only=("task", "backbone"))
        unfinished = options.flags.unfinished
        run.predict(**body, workdir=workdir, **files, unfinished=unfinished, say=say)


def _refuse_unfinished(options: Options) -> None:
    if options.flags.unfinished:
        raise ConfigError(
            "--unfinished is for runs, not exports.", set_in="--unfinished", valid="no such flag"
        )


def _is_export(workdir: str, options: Options) -> bool:
    """Returns True for an export, False for a run, to which --trust_export means nothing."""
    found = is_export(workdir)
    if options.flags.trust_export and not found:
        raise ConfigError(
            f"--trust_export is for exports, and {workdir} is none.",
            set_in="--trust_export",
            valid="the folder of an export",
        )
    return found


def _columns(options: Options) -> dict[str, Any]:
    """Returns the columns that --columns names: of the inputs as `text`, of the answer as `label`.

    Raises:
      ConfigError: the flag has another form.
    """
    flag = options.flags.columns
    pairs = [part.partition("=") for part in (flag or "").split(",") if part]
    found = {kind.strip(): name.strip() for kind, _, name in pairs}
    if len(found) < len(pairs) or not all(kind and name for kind, name in found.items()):
        raise ConfigError(
            f"--columns={flag} has another form than names of inputs with their columns.",
            set_in="--columns",
            valid="--columns=text=COLUMN,label=COLUMN, with the names of the task's inputs",
        )
    label = found.pop("label", None)
    return {"text": found or None, "label": label}


def _export(options: Options, say: Console) -> None:
    workdir = required_path(options, "workdir", "out")
    found = config_of_run(workdir, options, say)
    run = _library(say)
    with _explained(found):
        run.export(
            **found.kwargs(only=("task", "backbone")),
            workdir=workdir,
            source=lambda: found.kwargs(only=("source",))["source"],
            unfinished=options.flags.unfinished,
            say=say,
        )


def _compare(options: Options, say: Console) -> None:
    from tfft.reports import comparison

    if not options.words:
        raise ConfigError(
            "tfft compare needs the workdir of a run.", valid="tfft compare out other", see="tfft"
        )
    for word in options.words:
        refuse_path(word, "tfft compare")
    flags = options.flags
    comparison.run(options.words, flags.output, flags.force, flags.shared, say)


def _fetch(options: Options, say: Console) -> None:
    if not options.words:
        raise ConfigError("tfft fetch needs a name.", valid=", ".join(fetch.ITEMS), see="tfft list")
    paths = fetch.fetch(options.words, say=say.info)
    for name, path in zip(options.words, paths, strict=True):
        say.result(f"{name}: {path}")


def _store(options: Options, say: Console) -> None:
    from tfft.storage.cache_store import Store, told

    store = Store(say)
    if not options.words:
        list_and_show.store(store, say)
    elif options.words[0] == "clear":
        freed = store.clear(options.words[1:])
        say.result(f"{told(freed)} freed in {store.folder}")
    else:
        raise ConfigError(
            f"tfft store has no {options.words[0]!r}.", valid="tfft store, tfft store clear [NAME]"
        )


CONFIGURED = ("gin_file", "seed", "allow_imports")
RUNNING = ("trust_data", "strategy", "workdir")
USED = ("workdir", "allow_imports", "unfinished")
VERBS = {
    "list": Verb(
        _list,
        "tasks, models, configs and data; KerasHub's presets",
        (),
        "[presets [WORD]]",
        "it lists what the package offers and reads no config",
        "tfft show --gin_file=CONFIG",
    ),
    "show": Verb(_show, "a config's values and who set them", CONFIGURED, "[NAME]"),
    "check": Verb(_check, "one step of each stage", (*CONFIGURED, *RUNNING)),
    "train": Verb(_train, "train, evaluate, report", (*CONFIGURED, *RUNNING)),
    "evaluate": Verb(
        _evaluate,
        "report on held-out texts or a file",
        (*USED, "input", "columns", "trust_data", "trust_export"),
    ),
    "predict": Verb(
        _predict,
        "one JSON object for each text",
        (*USED, "input", "columns", "output", "force", "on_error", "include_input")
        + ("trust_data", "trust_export"),
    ),
    "export": Verb(_export, "a SavedModel that takes raw text", (*USED, "trust_data")),
    "compare": Verb(
        _compare,
        "runs side by side, paired",
        ("output", "force", "shared"),
        "RUN [RUN ...]",
        "it compares finished runs as they are",
        "tfft compare out other",
    ),
    "store": Verb(
        _store,
        "tokens and features kept on disk",
        (),
        "[clear [NAME ...]]",
        "the store has no config; TFFT_STORE and TFFT_STORE_GB in the environment set it",
        "tfft store",
    ),
    "fetch": Verb(
        _fetch,
        "download weights and data",
        (),
        "NAME ...",
        "it fetches by name and reads no config",
        "tfft list",
    ),
}


def _library(say: Console) -> Any:
    """Imports the verbs, and TensorFlow with them."""
    say.info("loading TensorFlow")
    with _hushed():
        from tfft import api
    return api


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Holds back what TensorFlow's C++ side writes while it is imported, whatever its log level.

    It is shown after all with -v, or when the import fails.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:
            aside.seek(0)
            os.write(kept, aside.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def _strategy(found: load.Config, options: Options, say: Console) -> Iterator[Any]:
    """Enters the strategy, in which the backbone must be built; yields the verbs."""
    run = _library(say)
    from tfft.training.distribution import scope

    with _explained(found), scope(options.flags.strategy, say):
        yield run


@contextlib.contextmanager
def _explained(found: load.Config) -> Iterator[None]:
    """Adds to an error the line of the config that it is about."""
    try:
        yield
    except UserError as error:
        found.explain(error)
        raise


def _set_environment(verbose: bool) -> None:
    """Settles what TensorFlow and Keras read when they are imported."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    if not verbose:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        logging.set_verbosity(logging.WARNING)  # absl's binaries begin with INFO


def command(arguments: Sequence[str]) -> int:
    """Runs one command line; returns the exit status.

    Args:
      arguments: without the program's name.
    """
    stop = None
    try:
        message = printable(_stopped(arguments))
        with signals.stoppable(lambda number: signals.end_at_once(message)) as stop:
            status = _run(arguments)
            process_faults.flush_results()
            return status
    except KeyboardInterrupt:
        print_error(f"\n{_stopped(arguments)}")
        return 128 + ((stop and stop.number) or signal.SIGINT)
    except BrokenPipeError:  # the reader has left
        process_faults.discard_results()
        return 1
    except Exception as error:
        explanation = error if isinstance(error, UserError) else process_faults.explain(error)
        if explanation is None:
            raise
        explanation.from_command = True
        cause = error.__cause__ if explanation is error else error
        if {"-v", "--verbose"} & set(arguments) and cause is not None:
            print_error("".join(traceback.format_exception(cause)).rstrip())
        print_error(f"tfft: {explanation}")
        process_faults.discard_results_that_fail()
        return 2


def _run(arguments: Sequence[str]) -> int:
    """Runs one command line; returns the exit status of a verb that ends well."""
    if not arguments:
        sys.stdout.write(GUIDE)
    elif {"help", "--help", "-h"} & set(arguments):
        sys.stdout.write(f"{GUIDE}\n{reference(VERBS)}")
    else:
        verb, options = read(arguments, VERBS)
        _set_environment(options.flags.verbose)
        console = Console(options.flags.quiet)
        process_faults.check_current_folder()
        with routed(console, options.flags.verbose):
            return verb.run(options, console) or 0
    return 0


def _stopped(arguments: Sequence[str]) -> str:
    again = "continue" if "train" in arguments else "start again"
    return f"tfft: stopped. To {again}: {shlex.join(['tfft', *arguments])}"


def main() -> None:
    """The console entry."""
    process_faults.open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # As what is read, whatever the locale; a name may hold bytes that are no UTF-8.
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    sys.excepthook = lambda *error: print_error(
        "".join(traceback.format_exception(*error)).rstrip()
    )
    arguments = sys.argv[1:]
    app.run(lambda _: command(arguments), argv=sys.argv[:1])
