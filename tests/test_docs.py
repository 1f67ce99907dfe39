"""Every command in the README and the docs is run, in their order, on made data."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import forks
import numpy as np
import pytest
from trainings import slow

from tfft.config import load

ROOT = pathlib.Path(__file__).parent.parent
FIRST = ("README.md", "quickstart.md", "predict.md")
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md")])


def commands():
    """Yields the page and the text of each command in a block marked `sh`, once."""
    seen = set()
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.S):
            for command in block.strip().splitlines():
                if command not in seen:
                    seen.add(command)
                    yield page.name, command


COMMANDS = list(commands())


@pytest.fixture
def room(tmp_path):
    """A folder with a person's files."""
    folder = tmp_path / "room"
    folder.mkdir()
    words = [("a fine film", "good"), ("a dull film", "bad")]
    rows = [f"{words[n % 2][0]} number {n},{words[n % 2][1]}" for n in range(120)]
    (folder / "reviews.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    (folder / "new.csv").write_text("text\na fine thing\na dull thing\n")
    shutil.copytree(ROOT / "examples", folder / "examples")
    return folder


def run(command, folder):
    words = command.split()
    program = {".venv/bin/tfft": ["-m", "tfft"], ".venv/bin/python": []}[words[0]]
    modules = forks.TFFT if program else forks.TENSORFLOW
    return forks.run([sys.executable, *program, *words[1:]], folder, modules)


@pytest.mark.fetched
@pytest.mark.parametrize("pages", [FIRST, slow(tuple(page.name for page in PAGES))], ids=len)
def test_every_command(room, pages):
    ran = 0
    # What a page reads, an earlier page has to have made: train, then export, then the rest.
    order = ("fetch", "train", "export", "")
    done = []
    for kind in order:
        for page, command in COMMANDS:
            if page not in pages or command in done or kind not in command:
                continue
            done.append(command)
            if command.startswith("make "):
                target = command.split()[1]
                assert subprocess.run(["make", "-n", target], cwd=ROOT).returncode == 0, command
                continue
            if "own_tf_data" in command:
                command += "_of_the_example"
            found = run(command, room)
            assert found.returncode == 0, f"{page}: {command}\n{found.stderr[-2000:]}"
            ran += 1
    assert ran >= (6 if pages == FIRST else 25)
    assert (room / "predictions.jsonl").read_text().count("\n") == 2


def test_links_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


BUILDER = """
import tensorflow_datasets as catalogue

class OwnReviews(catalogue.core.GeneratorBasedBuilder):
    VERSION = catalogue.core.Version("1.0.0")
    def _info(self):
        features = catalogue.features.FeaturesDict({
            "text": catalogue.features.Text(),
            "label": catalogue.features.ClassLabel(names=["bad", "good"])})
        return catalogue.core.DatasetInfo(
            builder=self, features=features, supervised_keys=("text", "label"))
    def _split_generators(self, manager):
        return {"train": self._generate_examples()}
    def _generate_examples(self):
        for number in range(200):
            yield number, {"text": f"{'a fine' if number % 2 else 'a dull'} film {number}",
                           "label": number % 2}
"""
SCRIPT = """
import sys; sys.path[:0] = ["examples", sys.argv[1]]
import builders.own_reviews, tfds as example
example.main("own_reviews", sys.argv[1] + "/out")
"""


def test_the_tfds_example_takes_a_builder_by_name(tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path)}
    (tmp_path / "builders").mkdir()
    (tmp_path / "builders/__init__.py").touch()
    (tmp_path / "builders/own_reviews.py").write_text(BUILDER)
    found = forks.run([sys.executable, "-c", SCRIPT, str(tmp_path)], ROOT, env=environment)
    assert found.returncode == 0, found.stderr[-2000:]
    assert "'value'" in found.stdout and (tmp_path / "out/report.html").exists()


def test_the_worked_example_is_a_task():
    from tfft.backbones.text.tiny import tiny
    from tfft.training.prepare_stage import prepare
    from tfft.training.stage import Stage

    [block] = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.S)
    names: dict = {}
    exec(block, names)
    task = names["TopicClassification"]().with_training_answers(dict.fromkeys("abcd", 1))
    assert task.name == "topic_classification" and task.target.names == ("a", "b", "c", "d")
    prepared = prepare(Stage(freeze_layers=1), tiny(), task.build_head(None), task, 2)
    inputs = {name: [[2, 5, 3]] * 4 for name in ("token_ids", "padding_mask")}
    inputs = {name: np.array(rows) for name, rows in inputs.items()}
    targets = task.target.numbers(list("abcd"))
    found = prepared.trained.train_on_batch(inputs, targets, return_dict=True)
    assert 0 <= found["top_3_accuracy"] <= 1


@pytest.mark.parametrize(
    "page,name", [("mixtures.md", "both.gin"), ("masked_lm.md", "reviews.gin")]
)
def test_a_config_that_a_page_shows_is_one(page, name, tmp_path):
    text = (ROOT / "docs" / page).read_text("utf-8")
    (tmp_path / name).write_text(re.search(rf"```\n(# {name}\n.*?)```", text, re.S)[1])
    given = {"DATA": "reviews.csv"} if 'include "quick/' in text else {}
    load.load([str(tmp_path / name)], given)
