"""Files of one's own for every split, in each config of `quick/`."""

import json

import pytest
from pictures import folder as picture_folder

from tfft.config import includes, load
from tfft.data.splits import SPLITS

QUICK = sorted(path.stem for path in (includes.packaged() / "quick").glob("*.gin"))
SIZES = {"train": 60, "validation": 12, "test": 15}
MACROS = {"train": "DATA", "validation": "VALIDATION", "test": "TEST"}


def row(name, key):
    """Returns an example of a config's task as a row of JSONL."""
    n = int(key.split()[-1])
    rows = {
        "answer_with_text": {"prompt": f"say {key}", "answer": key},
        "answers": {
            "question": f"which {key}?",
            "context": f"it is {key}",
            "answers": {"text": [key], "answer_start": [6]},
        },
        "embedding": {"text": f"one {key}", "text_pair": f"two {key}"},
        "masked_lm": {"text": f"a text {key}"},
        "multi_label": {"text": f"a text {key}", "label": ["xy"[n % 2], "z"]},
        "multiple_choice": {"question": key, "choices": ["no", key], "label": n % 2},
        "pairs": {"text": f"one {key}", "text_pair": f"two {key}", "label": "xy"[n % 2]},
        "regression": {"text": f"a text {key}", "label": n / 4},
        "translate": {"source": f"one {key}", "target": f"eins {key}"},
    }
    return rows.get(name, {"text": f"a text {key}", "label": "xy"[n % 2]})


def write(path, name, split):
    """Writes the examples of a split as a config's task reads them; returns the path."""
    keys = [f"{split} {number}" for number in range(SIZES[split])]
    if name == "images":
        return str(picture_folder(path / split, SIZES[split], seed=SPLITS.index(split)))
    if name == "tagging":
        content = "\n".join(f"w{key.replace(' ', '-')} O\nAnna B-PER\n" for key in keys)
        path = path / f"{split}.conll"
    else:
        content = "".join(json.dumps(row(name, key)) + "\n" for key in keys)
        path = path / f"{split}.jsonl"
    path.write_text(content)
    return str(path)


def opened(name, macros):
    found = load.load([f"quick/{name}.gin"], macros)
    assert not found.mistakes
    return found.kwargs(only=["source"])["source"]


def files_of(name, path, splits):
    """Returns the macros of a config that name the files of some splits."""
    macros = {MACROS[split]: write(path, name, split) for split in splits}
    if name == "multi_task":
        tagged = {MACROS[split]: write(path, "tagging", split) for split in splits}
        macros["TAGGED"] = tagged.pop("DATA")
        macros |= {f"TAGGED_{macro}": file for macro, file in tagged.items()}
    return macros


@pytest.mark.parametrize("name", QUICK)
def test_every_split_can_have_a_file_of_its_own(name, tmp_path):
    source = opened(name, files_of(name, tmp_path, SPLITS))
    times = 2 if name == "multi_task" else 1
    assert {split: source.size(split) for split in source.splits} == {
        split: times * size for split, size in SIZES.items()
    }


@pytest.mark.parametrize("name", QUICK)
def test_what_is_not_given_is_split_off_from_training(name, tmp_path):
    source = opened(name, files_of(name, tmp_path, ["train", "test"]))
    times = 2 if name == "multi_task" else 1
    assert {split: source.size(split) for split in source.splits} == {
        "train": times * 54,
        "validation": times * 6,
        "test": times * 15,
    }
