"""Records training runs, and compares two recordings to the last digit.

    python tests/golden_runs.py record FILE [NAME ...]
    python tests/golden_runs.py compare BEFORE AFTER

It shows that a refactoring changes no result: record before and after it on the same machine, then
compare. Each run is a `python -m tfft train` in a new process and folder, on small data that are
made here, and a `tfft predict` of other rows. The run `demo` trains the fetched MiniLM-L6, which
takes minutes. NAME is a pattern of names of runs, such as "recipe/*"; without one all are made.
"""

import fnmatch
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

# One thread and no GPU, so that results depend less on the machine; the package beside this file.
ENVIRONMENT = {
    **dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1"),
    **{"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
    "PYTHONPATH": str(pathlib.Path(__file__).parents[1]),
}


class Run(NamedTuple):
    """A run's configs, its macros and parameters, and what `predict` reads by which part of it."""

    configs: str
    settings: str
    new: str = "new_texts.csv"
    part: str = "."


# Every name that a refactoring may change is in these tables.
QUICK, RECIPE, DEMO = "quick/{}.gin", "recipes/{}.gin", "results/movie_reviews.gin"
RECORDS, REPORT = "metrics.jsonl", "report.json"  # files of a run
FEW = "EPOCHS=2 BATCH_SIZE=8"
BERT = f"{FEW} MODEL='bert' SEQUENCE_LENGTH=24"
WRITTEN = f"{FEW} SEQUENCE_LENGTH=64 MAX_NEW_TOKENS=12"
TASKS = {
    "answer_with_text": ("prompts.jsonl", f"{WRITTEN} MODEL='gpt2'"),
    "answers": ("questions.jsonl", f"{BERT} SEQUENCE_LENGTH=40"),
    "embedding": ("similar.csv", BERT),
    "images": ("pictures", f"{FEW} MODEL='MobileNetV2' WEIGHTS=None IMAGE_SIZE=32"),
    "masked_lm": ("texts.csv", BERT),
    "multi_label": ("labels.jsonl", BERT),
    "multi_task": ("texts.csv", f"{BERT} TAGGED='words.conll'"),
    "multiple_choice": ("choices.jsonl", BERT),
    "pairs": ("pairs.csv", BERT),
    "regression": ("scores.csv", BERT),
    "tagging": ("words.conll", BERT),
    "text": ("texts.csv", BERT),
    "translate": ("translations.jsonl", f"{WRITTEN} MODEL='bart'"),
}
RECIPES = (
    "adapters bitfit freeze_lower full gradual head_only head_then_unfreeze ia3 imbalanced "
    "layerwise lora reinit_top small_data"
)
TEXTS = f"{BERT} DATA='texts.csv' TEST='new_texts.csv'"
BOTH = """RDrop.alpha=0.5 Mixup.alpha=0.3 AdversarialStep.length=0.5 NoisyEmbeddings.alpha=2.0
Dropout.rate=0.2 Batching.gradient_accumulation_steps=2 Batching.oversample=True"""
REGULARIZERS = "@RDrop(),@Mixup(),@AdversarialStep(),@NoisyEmbeddings(),@Dropout()"
ALL_OF_TEXT = f"""{TEXTS} {BOTH} EPOCHS=4 LEARNING_RATE=1e-3 FREEZE_LAYERS=1
TextClassification.label_smoothing=0.1 TextClassification.calibrate=True
Stage.regularizers=({REGULARIZERS},@L2SP()) L2SP.strength=10.0
Stage.averaging=(@EMA(),@WiseFT()) EMA.momentum=0.8 WiseFT.shares=(0.3,0.7)
AdamW.layer_decay=0.9 AdamW.learning_rate_multipliers={{"head/*":3.0}}
Stage.freeze=("layer_2/*bias",) Stage.schedule=@Cosine()
EarlyStopping.monitor="val_loss" EarlyStopping.patience=2"""
# What excludes those: SWA beside EMA, new layers beside L2-SP and WiSE-FT. And other norms.
ALL_OF_IMAGES = f"""{BOTH} train.task=@ImageClassification() train.source=@images()
images.data="pictures" train.backbone=@tiny_image() train.stages=(@Stage(),)
ImageClassification.label_smoothing=0.1 Stage.epochs=4 Stage.batch_size=8
Stage.learning_rate=1e-3 Stage.regularizers=({REGULARIZERS},@ReinitTop())
Stage.averaging=(@SWA(),) SWA.start=0.3 Stage.schedule=@CosineRestarts()
Stage.optimizer=@KerasOptimizer() KerasOptimizer.name="lion" KerasOptimizer.layer_decay=0.9
KerasOptimizer.learning_rate_multipliers={{"head/*":3.0}} """
FOLDS = f"{TEXTS} train.folds=2"
SEEDS = f"""{TEXTS} train.seeds=2 train.feature_floor=True FeatureCache.where="disk"
FeatureCache.dtype="float16" LONG_TEXTS="windows" SEQUENCE_LENGTH=12"""
TEXT = QUICK.format("text")
RUNS = {
    **{
        f"task/{name}": Run(QUICK.format(name), f"{settings} DATA='{data}'", f"new_{data}")
        for name, (data, settings) in TASKS.items()
    },
    **{f"recipe/{name}": Run(f"{TEXT} {RECIPE.format(name)}", TEXTS) for name in RECIPES.split()},
    "all/text": Run(TEXT, ALL_OF_TEXT),
    "all/images": Run("all_of_images.gin", "", "new_pictures"),
    "repeat/seeds": Run(TEXT, SEEDS, part="seed-1"),
    "repeat/folds": Run(f"{TEXT} {RECIPE.format('gradual')}", FOLDS, part="fold-0"),
    "demo": Run(DEMO, ""),
}
# Keys of a recording that were renamed after the older one; "*" is one part between dots.
RENAMED: dict[str, str] = {}
# Values that are not recorded, by their keys, and why.
LEFT_OUT = {
    "*.seconds": "times of epochs",
    "*report.json.seconds.*": "times of phases",
    "*report.json.machine.*": "versions, devices and the commit",
}

NOUNS = ("film", "plot", "movie", "actor", "scene", "song")
FEELINGS = {"great": "good", "fine": "good", "awful": "bad", "dull": "bad", "odd": "mixed"}
FILLERS = ("the", "a", "of", "and", "with", "it", "was", "very", "not", "in", "is", "which")
NOTHING: dict[str, list[Any]] = {"text": [], "answer_start": []}
PLACES = {"anna": "PER", "bob": "PER", "rome": "LOC", "york": "LOC"}


def made_rows(rng: random.Random) -> dict[str, dict[str, Any]]:
    """Returns a row of each file of data, by the file's name."""
    noun, other, *more = rng.sample(NOUNS, 4)
    feeling = rng.choices(list(FEELINGS), (4, 4, 3, 3, 1))[0]
    label = FEELINGS[feeling] if rng.random() < 0.9 else "bad"
    fill = rng.choices(FILLERS, k=rng.randrange(2, 12))
    text = " ".join([*fill[:3], feeling, noun, *fill[3:], str(rng.randrange(1000))])
    pair = f"{rng.choice((noun, other))} {fill[0]}"
    asked, number = rng.choice((noun, noun, noun, other)), str(rng.randrange(100))
    context, start = f"{noun} {number} {' '.join(fill)}", len(f"{noun} ")
    answers = {"text": [number], "answer_start": [start]} if asked == noun else NOTHING
    right, several = rng.randrange(3), [noun, other, *more][: rng.randrange(1, 5)]
    choices = [f"the {noun if place == right else other} {fill[0]}" for place in range(3)]
    name, words = rng.choice(list(PLACES)), [f"{word} O\n" for word in (noun, *fill)]
    return {
        "texts.csv": {"text": text, "label": label},
        "scores.csv": {"text": text, "label": len(fill) + 3 * (label == "good")},
        "labels.jsonl": {"text": text, "label": sorted({label, noun} - {"bad", "song"})},
        "pairs.csv": {"text": text, "text_pair": pair, "label": ["no", "yes"][noun in pair]},
        "similar.csv": {"text": text, "text_pair": f"{feeling} {noun} {fill[0]}"},
        "questions.jsonl": {"question": f"which {asked}", "context": context, "answers": answers},
        "choices.jsonl": {"question": f"is it {noun}", "choices": choices, "label": right},
        "prompts.jsonl": {"prompt": " ".join(several), "answer": several[0]},
        "translations.jsonl": {"source": " ".join(several), "target": " ".join(several[::-1])},
        "words.conll": {"": "".join([*words[:3], f"{name} B-{PLACES[name]}\n", *words[3:]])},
    }


def write_data(folder: pathlib.Path) -> None:
    """Writes files of made rows: 120 to learn from, and 24 of each in "new_" files."""
    import tensorflow as tf

    for start, count, seed in (("", 120, 0), ("new_", 24, 1)):
        rng, pixels = random.Random(seed), np.random.default_rng(seed)
        made = [made_rows(rng) for _ in range(count)]
        for name in made[0]:
            rows = [row[name] for row in made]
            lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
            if name.endswith("jsonl"):
                lines = [json.dumps(row) for row in rows]
            (folder / f"{start}{name}").write_text("\n".join(lines) + "\n")
        for number in range(count):
            picture = pixels.integers(0, 120, (14, 14, 3))
            picture[..., number % 3] += 100
            path = folder / f"{start}pictures" / "rgb"[number % 3] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(tf.io.encode_png(picture.astype(np.uint8)).numpy())
    (folder / "all_of_images.gin").write_text("\n".join(ALL_OF_IMAGES.split()) + "\n")


def write_backbones(folder: pathlib.Path) -> None:
    """Writes KerasHub presets of a few thousand random weights: an encoder, a decoder, and both."""
    import keras_hub

    letters = [chr(code) for code in range(ord("!"), 127)]
    words = [*NOUNS, *FEELINGS, *FILLERS, *PLACES, "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = list(dict.fromkeys([*words, *letters, *(f"##{letter}" for letter in letters)]))
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>", *letters, "Ġ", "th"]
    known = {token: number for number, token in enumerate(tokens)}
    hub = keras_hub.models
    sizes = {"num_layers": 6, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 32}
    for name, kind, tokenizer in (
        ("bert", hub.BertBackbone, hub.BertTokenizer(vocabulary=pieces, lowercase=True)),
        ("gpt2", hub.GPT2Backbone, hub.GPT2Tokenizer(vocabulary=known, merges=["t h"])),
        ("bart", hub.BartBackbone, hub.BartTokenizer(vocabulary=known, merges=["t h"])),
    ):
        model = kind(vocabulary_size=tokenizer.vocabulary_size(), max_sequence_length=64, **sizes)
        for number, variable in enumerate(model.weights):
            if len(variable.shape) > 1:
                rng = np.random.default_rng(number)
                variable.assign(rng.normal(0.0, 0.2, variable.shape))
        for part in (model, tokenizer):
            part.save_to_preset(str(folder / name))


def tfft(folder: pathlib.Path, *arguments: str) -> str:
    """Runs a command in a folder with an empty store; returns its output."""
    command = [sys.executable, "-m", "tfft", *arguments, "--quiet"]
    with tempfile.TemporaryDirectory() as store:
        environment = os.environ | {"TFFT_STORE": store}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def record_run(folder: pathlib.Path, run: Run) -> dict[str, Any]:
    """Trains and predicts; returns what is compared, by dotted keys."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    configs = [f"--gin_file={name}" for name in run.configs.split()]
    settings = dict(each.split("=", 1) for each in run.settings.split())
    flags = [f"--gin.{name}={value}" for name, value in settings.items()]
    tfft(folder, "train", "--workdir=out", *configs, *flags)
    rows = tfft(folder, "predict", f"--workdir=out/{run.part}", f"--input={run.new}")
    found: dict[str, Any] = {"predictions": [json.loads(row) for row in rows.splitlines()]}
    for path in sorted(out.rglob("*")):
        where = str(path.relative_to(out))
        if path.name == REPORT:
            found[where] = json.loads(path.read_text("utf-8"))
        elif path.name == RECORDS:
            found[where] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        elif path.suffix == ".safetensors":
            digests = {
                name: hashlib.sha256(f"{a.dtype}{a.shape}".encode() + a.tobytes()).hexdigest()
                for name, a in load_file(path).items()
            }
            unnamed = hashlib.sha256("".join(sorted(digests.values())).encode()).hexdigest()
            found[where] = {"digests": digests, "without names": unnamed}
    left_out = [re.compile(fnmatch.translate(pattern)).match for pattern in LEFT_OUT]
    return {k: v for k, v in flat(found).items() if not any(match(k) for match in left_out)}


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Returns the values in nested lists and objects by dotted keys; an empty one is a value."""
    if not isinstance(value, (dict, list)) or not value:
        return {key: value}
    found: dict[str, Any] = {}
    for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
        found |= flat(inner, f"{key}.{name}" if key else str(name))
    return found


def record(file: pathlib.Path, patterns: list[str]) -> None:
    """Writes a recording of the runs whose names match; it grows by one run after the other."""
    for pattern in patterns:
        if not fnmatch.filter(RUNS, pattern):
            sys.exit(f"no run is called {pattern}. There are: {', '.join(RUNS)}")
    names = [n for n in RUNS if any(fnmatch.fnmatch(n, pattern) for pattern in patterns or "*")]
    recording = {}
    os.environ |= ENVIRONMENT
    with tempfile.TemporaryDirectory() as room:
        folder = pathlib.Path(room)
        write_data(folder)
        write_backbones(folder)
        for name in names:
            began = time.monotonic()
            recording[name] = record_run(folder, RUNS[name])
            seconds = time.monotonic() - began
            print(f"{name}: {len(recording[name]):,} values, {seconds:.0f} s", flush=True)
            file.write_text(json.dumps(recording, indent=1), "utf-8")


def renamed(key: str) -> str:
    """Returns a key of the older recording as the newer one has it."""
    for old, new in RENAMED.items():
        pattern = re.escape(old).replace(r"\*", "([^.]+)")
        if found := re.match(rf"(.*/|){pattern}(?=[./]|$)", key):
            where, *parts = found.groups()
            key = where + new.replace("*", "{}").format(*parts) + key[found.end() :]
    return key


def compare(before: str, after: str) -> int:
    """Prints each difference between two recordings; returns the exit status, 1 for any."""
    old, new = (json.loads(pathlib.Path(file).read_text("utf-8")) for file in (before, after))
    equal, differences = 0, [] if old or new else ["neither has a run"]
    for name in sorted(old.keys() | new.keys()):
        one = {renamed(key): value for key, value in old.get(name, {}).items()}
        two = new.get(name, {})
        if len(one) < len(old.get(name, {})):
            differences.append(f"{name}: RENAMED gives several keys the same name")
        if not one or not two:
            differences.append(f"{name}: missing in {after if one else before}")
            continue
        for key in sorted(one.keys() | two.keys()):
            # As text: 1 is another value than 1.0, and NaN is the same as NaN.
            was, now = (json.dumps(x[key]) if key in x else "missing" for x in (one, two))
            equal += was == now
            if was != now:
                differences.append(f"{name}: {key}: {was} -> {now}")
    runs = len(old.keys() & new.keys())
    print(*differences, f"{equal:,} values of {runs} runs are equal", sep="\n")
    return 1 if differences else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", file, *patterns]:
            record(pathlib.Path(file), patterns)
        case ["compare", before, after]:
            sys.exit(compare(before, after))
        case _:
            sys.exit(__doc__)
