"""Each file of an export damaged in each way: nothing is computed, and the file is named."""

import contextlib
import itertools
import json
import os
import pathlib
import random
import shutil

import pytest
from finished_runs import copy_of, reviews
from trainings import slow

from tfft.cli import main as cli
from tfft.errors import ExportError
from tfft.export import manifest
from tfft.export.exported_model import newest_version, read_card
from tfft.storage.format_versions import EXPORT

INPUT = "--input=data/reviews.csv"
CARD, INDEX = "tfft.json", "variables/variables.index"
VALUES = "variables/variables.data-00000-of-00001"
FILES = (CARD, "saved_model.pb", "fingerprint.pb", INDEX, VALUES)
SIZE, CONTENT = "it is no file of ", "its content does not match its checksum"


def flip(content, place):
    changed = bytearray(content)
    changed[place] ^= 1 << place % 8
    return bytes(changed)


CHANGES = {
    "cut to half": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "empty": lambda content: b"",
    "longer by a byte": lambda content: content + b"\0",
    "random": lambda content: random.Random(0).randbytes(len(content)),
    "zeros": lambda content: bytes(len(content)),
    "an object": lambda content: b"{}",
    "a list": lambda content: b"[1]",
    "nested": lambda content: b"[" * 200_000,
    "first bit": lambda content: flip(content, 0),
    "a bit in the middle": lambda content: flip(content, len(content) // 2),
    "last bit": lambda content: flip(content, len(content) - 1),
}
KINDS = {
    "deleted": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": os.mkfifo,
}
SAME_SIZE = ("random", "zeros", "first bit", "a bit in the middle", "last bit")


def verdict(name, kind):
    """Returns what is printed of a file that is damaged in a way."""
    if name == CARD:
        if kind in CHANGES:
            return "tfft.json is damaged|tfft.json cannot be read|tfft.json is not what|format"
        return "tfft.json cannot be read"
    if kind in ("deleted", "a folder"):
        return "is missing" if kind == "deleted" else "is a folder"
    if kind == "a link to nowhere":
        return "cannot be read: No such file"
    return CONTENT if kind in SAME_SIZE else SIZE


@pytest.fixture(scope="module")
def home(finished_run, tmp_path_factory):
    """A copy of a folder with data and a finished run with its export."""
    folder = copy_of(finished_run(reviews), tmp_path_factory.mktemp("damage") / "home")
    with contextlib.chdir(folder):
        yield folder


@contextlib.contextmanager
def changed(version):
    """Restores an export in the end."""
    kept = version.with_name("kept")
    shutil.copytree(version, kept)
    try:
        yield
    finally:
        shutil.rmtree(version)
        kept.rename(version)


def refused(capsys, pattern, workdir="out/export"):
    """Checks that both commands refuse an export, and what they print."""
    for verb in ("predict", "evaluate"):
        capsys.readouterr()
        assert cli.command([verb, f"--workdir={workdir}", INPUT]) == 2
        shown = capsys.readouterr()
        assert shown.out == "" and "Traceback" not in shown.err
        assert any(part in shown.err for part in pattern.split("|")), shown.err
        assert "tfft export --workdir=" in shown.err, shown.err


@pytest.mark.parametrize("kind", [*CHANGES, *KINDS])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused(home, capsys, name, kind):
    version = home / "out/export/1"
    with changed(version):
        path = version / name
        content = path.read_bytes()
        path.unlink()
        if kind in KINDS:
            KINDS[kind](path)
        else:
            path.write_bytes(CHANGES[kind](content))
        refused(capsys, verdict(name, kind))


@pytest.mark.parametrize(("name", "other"), itertools.combinations(FILES, 2))
def test_files_that_changed_places_are_refused(home, capsys, name, other):
    version = home / "out/export/1"
    with changed(version):
        one, two = version / name, version / other
        content = one.read_bytes()
        one.write_bytes(two.read_bytes())
        two.write_bytes(content)
        refused(capsys, "does not match its checksum|is no file of|cannot be read|is damaged")


@pytest.mark.slow
def test_files_of_another_export_are_refused(home, capsys):
    """The other export has the same sizes and names, and other weights."""
    flags = ["--gin_file=run.gin", "--seed=1", "--workdir=second", "--quiet"]
    assert cli.command(["train", *flags]) == 0
    assert cli.command(["export", "--workdir=second", "--quiet"]) == 0
    for names in ([CARD], ["saved_model.pb"], [INDEX], [VALUES], [INDEX, VALUES]):
        with changed(home / "out/export/1"):
            for name in names:
                shutil.copy(home / "second/export/1" / name, home / "out/export/1" / name)
            refused(capsys, "is damaged")


FOREIGN = {
    "saved_model.pbtxt": "is no file of this export",
    "saved_model.cpb": "is no file of this export",
    "keras_metadata.pb": "is no file of this export",
    "variables/variables.data-00001-of-00002": "is no file of this export",
    "assets/words.txt": "is no file of this export",
    "debug/saved_model_debug_info.pb": "is no file of this export",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_the_export_did_not_have_is_refused(home, capsys, name):
    version = home / "out/export/1"
    with changed(version):
        (version / name).parent.mkdir(exist_ok=True)
        (version / name).write_text("x")
        refused(capsys, FOREIGN[name])


def test_requests_for_a_server_and_hidden_files_are_no_damage(home):
    version = home / "out/export/1"
    with changed(version):
        (version / "assets.extra").mkdir()
        (version / "assets.extra/tf_serving_warmup_requests").write_text("x")
        (version / ".DS_Store").write_text("x")
        (version / ".git").mkdir()
        (version / ".git/HEAD").write_text("x")
        manifest.verify(version, manifest.read(version))


@pytest.mark.parametrize(
    "kind", ["emptied", "a file", "variables are a file", "a newer one is empty"]
)
def test_damaged_folders_are_refused(home, capsys, kind):
    """A damaged newest version is not replaced by the one before it in silence."""
    version = home / "out/export/1"
    with changed(version):
        if kind == "a newer one is empty":
            (version.parent / "2").mkdir()
            refused(capsys, "2/tfft.json cannot be read")
            (version.parent / "2").rmdir()
            return
        shutil.rmtree(version if kind != "variables are a file" else version / "variables")
        if kind == "emptied":
            version.mkdir()
            with pytest.raises(ExportError, match="cannot be read"):
                read_card("out/export")
        elif kind == "a file":
            version.write_text("x")
            with pytest.raises(ExportError, match="cannot be read"):
                read_card("out/export")
            version.unlink()
            version.mkdir()
        else:
            (version / "variables").write_text("x")
            refused(capsys, "variables is no file of this export")


CARDS = (
    {"task": "text_classification"},
    {"task": {"task": 3}},
    {"task": {"task": "no_such_task"}},
    {"task": {"task": "text_regression"}},
    {"task": {"task": "text_classification", "labels": 3}},
    {"task": {"task": "text_classification", "labels": None}},
    {"inputs": ["picture"]},
    {"inputs": "text"},
    {"inputs": [["text"]]},
    {"columns": 3},
    {"columns": {"inputs": [3]}},
    {"files": {}},
    {"files": {"saved_model.pb": 3}},
    {"files": {"../saved_model.pb": {"bytes": 3, "sha256": "x"}}},
    {"files": {"saved_model.pb": {"bytes": "3", "sha256": "x"}}},
    {"format": EXPORT + 1},
    {"task": {"task": "text_classification", "labels": ["\ud800", "b"]}},
)


@pytest.mark.parametrize("part", CARDS)
def test_a_foreign_card_with_its_checksum_is_refused(home, capsys, part):
    version = home / "out/export/1"
    with changed(version):
        card = manifest.read(version) | part
        (version / CARD).write_text(json.dumps(manifest.seal(card, None)))
        for verb in ("predict", "evaluate"):
            assert cli.command([verb, "--workdir=out/export", INPUT]) == 2
            shown = capsys.readouterr()
            assert shown.out == "" and "Traceback" not in shown.err


def test_the_version_is_found_by_its_number(home, tmp_path):
    for name in ("1", "2", "10", "latest", "²", ".export-3"):
        (tmp_path / name).mkdir()
    assert newest_version(tmp_path).name == "10"
    for name in ("x" * 300, "a\0b", "missing"):
        with pytest.raises(ExportError, match="is no folder"):
            newest_version(name)


@pytest.mark.parametrize(
    "odd", ["spaces and 'quotes' \"x\"", slow("[a-z]*?{x}"), slow("new\nline")]
)
def test_a_copy_in_a_folder_of_any_name_is_read(home, odd):
    """What TensorFlow takes for a pattern is a name here."""
    pathlib.Path(odd).mkdir()
    shutil.copytree(home / "out/export/1", home / odd / "1")
    assert cli.command(["predict", f"--workdir={odd}", INPUT, "--output=odd.jsonl", "--force"]) == 0
    assert len(pathlib.Path("odd.jsonl").read_text().splitlines()) == 160
