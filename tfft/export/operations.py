"""The operations that a SavedModel may run before anybody trusts it.

A SavedModel is a program: TensorFlow has operations that read and write files, call Python and open
connections. The file is read here without TensorFlow, which would already run a part of it.
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

from tfft.errors import ExportError
from tfft.export.allowed_operations import IDENTIFIERS, OPERATIONS
from tfft.export.manifest import damaged
from tfft.storage.foreign_files import read_regular
from tfft.storage.protobuf_fields import fields

MOST_BYTES = 512 * 2**20  # of a saved_model.pb, which holds no weights
MOST_PARTS = 2_000_000  # operations, functions and objects; an export has some ten thousands
# Operations of the functions that TensorFlow Serving and TensorFlow call by themselves to restore
# and save weights, with a path inside of the export.
SAVER = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})
TOP = "the graph"


def refuse_foreign(path: pathlib.Path) -> None:
    """Refuses a saved_model.pb with operations that may do more than compute.

    Raises:
      ExportError: there are such operations, or the file cannot be read.
    """
    found = foreign_operations(path)
    if found:
        some = [f"{name} in {where}" for name, where in sorted(found.items())[:5]]
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise ExportError(
            f"{path} may do more than compute: it runs {', '.join(some)}{more}.",
            set_in=str(path),
            valid="an export of a task of tfft; or --trust_export, if you trust whoever made this "
            "one as you would trust a program",
            see="docs/serving.md",
        )


def foreign_operations(path: pathlib.Path) -> dict[str, str]:
    """Returns the operations of a saved_model.pb that are not allowed, each with a function.

    Raises:
      ExportError: the file cannot be read, is too large, or holds no model as exports do.
    """
    try:
        return _Model(read_regular(path, MOST_BYTES)).foreign()
    except OSError as error:
        raise damaged(path, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise damaged(path, f"is damaged or foreign: {error}") from error


class _Model:
    """The operations of a serialized SavedModel by function.

    Args:
      data: the content of the file.

    Raises:
      ValueError: it is no SavedModel with one graph and its objects.
    """

    def __init__(self, data: bytes):
        self._data, self._parts = data, 0
        self.operations: dict[str, set[str]] = {TOP: set()}
        self._calls: list[bytes] = []  # the operations outside of functions
        self._objects: set[str] = set()
        graphs = list(self._messages(memoryview(data), 2))
        if len(graphs) != 1:
            raise ValueError(f"it holds {len(graphs)} graphs, not one")
        self._read_functions(graphs[0])
        objects = list(self._messages(graphs[0], 7))
        if not objects:
            raise ValueError("it holds no objects")  # TensorFlow would run it as version 1 did
        for each in objects:
            self._read_objects(each)

    def foreign(self) -> dict[str, str]:
        """Returns what is not allowed, each with the function that it stands in."""
        found = {name: "the objects" for name in self._objects - IDENTIFIERS}
        for function, names in self.operations.items():
            allowed = OPERATIONS | SAVER if self._is_saver(function) else OPERATIONS
            found |= dict.fromkeys(names - allowed, function)
        return found

    def _is_saver(self, function: str) -> bool:
        """Whether nothing calls a function but the graph around all functions, once.

        No signature and no object reaches that graph.
        """
        name = function.encode()
        if function == TOP or not self.operations[function] & SAVER:
            return False
        return self._data.count(name) == 2 and sum(each.count(name) for each in self._calls) == 1

    def _read_functions(self, meta_graph: memoryview) -> None:
        for graph in self._messages(meta_graph, 2):
            for node in self._messages(graph, 1):
                self.operations[TOP] |= set(self._names(node, 2))
                self._calls.append(bytes(node))
            for library in self._messages(graph, 2):
                for function in self._messages(library, 1):
                    self._read_function(function)

    def _read_function(self, function: memoryview) -> None:
        names = [name for each in self._messages(function, 1) for name in self._names(each, 1)]
        if len(names) != 1:
            raise ValueError(f"a function has {len(names)} names")
        found = self.operations.setdefault(names[0], set())
        for node in self._messages(function, 3):
            found.update(self._names(node, 2))

    def _read_objects(self, objects: memoryview) -> None:
        for each in self._messages(objects, 1):
            for user_object in self._messages(each, 4):
                self._objects.update(self._names(user_object, 1))

    def _messages(self, message: memoryview, number: int) -> Iterator[memoryview]:
        """Yields the messages that a field of another one holds."""
        for found, value in fields(message):
            if found == number:
                self._parts += 1
                if isinstance(value, int) or self._parts > MOST_PARTS:
                    problem = "a number stands for a message" if isinstance(value, int) else ""
                    raise ValueError(problem or f"it has more than {MOST_PARTS:,} parts")
                yield value

    def _names(self, message: memoryview, number: int) -> Iterator[str]:
        """Yields the strings of a field of a message."""
        for value in self._messages(message, number):
            yield str(value, "utf-8")
