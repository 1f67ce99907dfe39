"""Which file `--allow_imports=NAME` takes: never one that came with a config or a run."""

import hashlib
import subprocess
import sys

import pytest

from tfft.cli import main as cli
from tfft.config import load
from tfft.config.catalog import configurables
from tfft.errors import ConfigError
from tfft.storage.format_versions import KEY, WORKDIR
from tfft.storage.workdir import Workdir

CONFIG = """\
import my_tasks
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @my_tasks.data()
train.stages = (@Stage(),)
"""
OWN = (
    "def data(text: str = 'own'):\n    import optional_of_mine\n    return optional_of_mine.NAME\n"
)
FOREIGN = "raise SystemExit('foreign code was executed')\ndef data(text: str = 'x'): pass\n"
NAMES = ("my_tasks", "optional_of_mine")
KNOWN = configurables()


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """The current folder, with a folder of somebody else in it; the module path is restored."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "run.gin").write_text(CONFIG)
    for name in NAMES:
        (tmp_path / "theirs" / f"{name}.py").write_text(FOREIGN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    monkeypatch.setattr(load, "offered", lambda: dict(KNOWN))
    yield tmp_path
    for name in NAMES:
        sys.modules.pop(name, None)


def read(*allow, files=("theirs/run.gin",), **more):
    return load.load(list(files), allow=list(allow), **more)


def test_the_current_folder_comes_first_and_the_other_is_not_on_the_path(place):
    (place / "my_tasks.py").write_text(OWN)
    found = read("my_tasks", folder=place / "theirs")
    digest = hashlib.sha256(OWN.encode()).hexdigest()[:16]
    assert f"my_tasks is my_tasks.py, SHA-256 {digest}" in found.notes
    assert str(place / "theirs") not in sys.path
    with pytest.raises(ModuleNotFoundError):  # the optional module is that of nobody
        found.kwargs(["source"])
    (place / "optional_of_mine.py").write_text("NAME = 'mine'\n")
    assert found.kwargs(["source"])["source"] == "mine"


@pytest.mark.parametrize("folder", [None, "theirs"])
def test_a_module_that_only_others_have_is_named_and_not_taken(place, folder):
    (place / "moved").mkdir()
    (place / "theirs" / "run.gin").rename(place / ("moved" if folder else "theirs") / "run.gin")
    config = "moved/run.gin" if folder else "theirs/run.gin"
    with pytest.raises(ConfigError) as caught:
        read("my_tasks", files=[config], folder=place / folder if folder else None)
    assert "there is no module my_tasks" in str(caught.value)
    assert "theirs/my_tasks.py, which runs the code of that file" in str(caught.value)
    assert not any("theirs" in each for each in sys.path)


def test_a_folder_that_a_path_names_is_used(place):
    (place / "theirs" / "my_tasks.py").write_text(OWN)
    (place / "theirs" / "optional_of_mine.py").write_text("NAME = 'theirs'\n")
    (place / "my_tasks.py").write_text(FOREIGN)
    found = read("theirs/my_tasks.py")
    assert found.kwargs(["source"])["source"] == "theirs"
    assert any("my_tasks is theirs/my_tasks.py, SHA-256 " in note for note in found.notes)
    assert found.flags == "--gin_file=theirs/run.gin --allow_imports=theirs/my_tasks.py"


def test_a_package_can_be_named_by_its_folder(place):
    package = place / "theirs" / "packed"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "deep.py").write_text("def data(): return 'deep'\n")
    config = CONFIG.replace("import my_tasks", "import packed.deep").replace("my_tasks", "deep")
    (place / "run.gin").write_text(config)
    found = read("theirs/packed", files=["run.gin"])
    assert found.kwargs(["source"])["source"] == "deep"
    sys.modules.pop("packed")


def test_another_module_before_the_one_that_was_named_is_an_error(place, monkeypatch):
    (place / "first").mkdir()
    (place / "first" / "my_tasks.py").write_text(FOREIGN)
    monkeypatch.setattr(sys, "path", [str(place / "first"), *sys.path])
    with pytest.raises(ConfigError, match="which Python finds before") as caught:
        read("theirs/my_tasks.py")
    assert "another name for the file" in str(caught.value)
    with pytest.raises(ConfigError, match="which Python finds before"):
        read("./json.py", files=[_importing(place, "json")])


def _importing(place, name):
    (place / "other.gin").write_text(CONFIG.replace("my_tasks", name))
    (place / f"{name}.py").write_text(OWN)
    return "other.gin"


@pytest.mark.parametrize("entry", ["./nothing/my_tasks.py", "theirs/", "my_tasks/x.py", "/", "."])
def test_other_values_of_the_flag_are_errors(entry):
    with pytest.raises(ConfigError):
        read(entry)


def test_a_foreign_workdir_brings_no_module(place, capsys):
    """`run.json` says where the run was trained; a module that lies there or here is not taken."""
    run = place / "theirs" / "out"
    (run / "best").mkdir(parents=True)
    (run / "config.gin").write_text(CONFIG)
    (run / "my_tasks.py").write_text(FOREIGN)
    content = {KEY: WORKDIR, "folder": str(place / "theirs"), "identity": {"config": CONFIG}}
    Workdir(run).write_json("run.json", content)
    flags = ["--workdir=theirs/out", "--input=new.csv", "--allow_imports=my_tasks"]
    assert cli.command(["predict", *flags]) == 2
    assert "there is no module my_tasks" in capsys.readouterr().err
    assert not any("theirs" in each for each in sys.path)


def test_the_path_is_not_extended_where_it_is_not_needed(place):
    found = read("json", files=[_importing(place, "json")], strict=False)
    assert any("json is " in note and "json/__init__.py" in note for note in found.notes)
    assert str(place) not in sys.path


@pytest.mark.slow
def test_the_command_itself(place):
    """In a fresh process, where nothing is imported yet."""
    (place / "my_tasks.py").write_text("def data(text: str = 'own'): pass\n")
    flags = ["show", "--gin_file=theirs/run.gin", "--allow_imports=my_tasks"]
    done = subprocess.run([sys.executable, "-m", "tfft", *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "my_tasks is my_tasks.py, SHA-256 " in done.stderr
