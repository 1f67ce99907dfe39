"""Every text task from the first step to the export, on texts of many scripts.

Each text names somebody or something, and what is asked for is that name. A model that has learned
the few texts by heart finds it again, at the characters where it stands.
"""

import functools
import html
import json
import random
import re
import unicodedata

import keras_hub
import pytest

import tfft
from tfft import api, tasks
from tfft.backbones.text.decoder_architectures import ALL
from tfft.backbones.text.generative_backbones import body_of
from tfft.backbones.text.tiny import tiny
from tfft.backbones.text.tokenizer_loading import from_hub
from tfft.data.examples import Examples
from tfft.data.inputs import names_of
from tfft.data.sources.memory import memory
from tfft.export.saved_model import Served, difference
from tfft.preprocessing.text.masking import MASK
from tfft.reports.console import Console
from tfft.runs import exported
from tfft.tasks.base import serving_signature

QUIET = Console(quiet=True)
# By what a script or a way to write is called there: a text before, at and behind a name.
SCRIPTS = {
    "العربية": ("تعيش ", "ليلى", " في بيتٍ صغير قرب البحر"),
    "فارسی": ("دیروز ", "پری\u200cناز", " نمی\u200cخوابید"),
    "עברית": ("אֶתְמוֹל ", "נֹעַם", " אָפָה לֶחֶם חַם"),
    "中文": ("昨天", "猫", "在河边睡觉。"),
    "日本語": ("きのう", "みずき", "がパンを焼いた。"),
    "漢字": ("今朝", "𠮷", "さんと川辺を歩いた。"),
    "한국어": ("어제 ", "민지", " 씨가 사과를 씻었다"),
    "ไทย": ("เมื่อวาน", "มานี", "ไปตลาดเช้า"),
    "हिन्दी": ("कल ", "पूर्णिमा", " ने चाय बनाई"),
    "Русский": ("Вчера ", "Андрей", " рисовал ёжика"),
    "Ελληνικά": ("Χθες ο ", "Ὀδυσσεύς", " έπλυνε τα πιάτα"),
    "ქართული": ("გუშინ ", "ნინო", " წიგნს კითხულობდა"),
    "Հայերեն": ("Երեկ ", "Անի", " հաց թխեց"),
    "Türkçe": ("Dün ", "İpek", " ılık süt içti"),
    "français": ("Hier ", "Éloïse", " a goûté une crème brûlée"),
    "espan\u0303ol": ("Ayer ", "Rau\u0301l", " comio\u0301 pin\u0303a an\u0303eja"),
    "🙂": ("👩\u200d👩\u200d👧 🍰 ", "🧑🏽\u200d🚀", " 🚀🌙 𝔞𝔟 ☃\ufe0f"),
    "𐐔𐐇𐐝": ("𐐙𐐬𐐣 ", "𐐖𐐱𐑌", " 𐐢𐐰𐐹𐑅 🎈"),
}
BEFORE, NAMES, BEHIND = map(list, zip(*SCRIPTS.values(), strict=True))
TEXTS = ["".join(parts) for parts in SCRIPTS.values()]
SPACED = [" ".join(part.strip() for part in parts) for parts in SCRIPTS.values()]
OTHER = [*NAMES[1:], NAMES[0]]
KINDS = ["好的", "سيّئ"] * (len(TEXTS) // 2)
EACH = range(len(TEXTS))


def folded(text):
    """Returns a text as a WordPiece reads it that lower-cases and strips accents."""
    left = (c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    return "".join(left).replace("\u200d", "").replace("\u200c", "").lower()


@functools.cache
def reader():
    """Returns a preprocessor whose WordPiece knows the letters of all texts, and all names."""
    letters = sorted({letter for text in TEXTS for letter in folded(text)} - {" "})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, *letters, *map(folded, NAMES), *(f"##{letter}" for letter in letters)]
    tokenizer = keras_hub.models.BertTokenizer(list(dict.fromkeys(tokens)), lowercase=True)
    return from_hub(ALL["bert"], tokenizer, 64), tokenizer.vocabulary_size()


def stripping():
    """Returns a body that reads texts without their accents."""
    random.seed(0)  # Keras' initialisers draw from it; a seed of TensorFlow's frees tokenisers
    preprocessor, size = reader()
    model = keras_hub.models.BertBackbone(
        vocabulary_size=size,
        num_layers=1,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        dropout=0.0,
        max_sequence_length=64,
    )
    return body_of(model, ALL["bert"], preprocessor, preset="letters of many scripts")


def of_bytes(kind):
    """Returns a body that reads and writes the bytes of texts."""
    return tiny(kind, layers=1, dim=32, sequence_length=160, dropout=0.0)


def answers():
    """Returns where the names stand, in SQuAD's shape."""
    pairs = zip(NAMES, BEFORE, strict=True)
    return [{"text": [name], "answer_start": [len(before)]} for name, before in pairs]


def spans():
    """Returns where the names stand, with a label each."""
    return [[[len(BEFORE[n]), len(BEFORE[n] + NAMES[n]), KINDS[n]]] for n in EACH]


# By task: its settings, the body, and a list for each input and for the answers.
CASES = {
    "TextClassification": ({}, stripping, [TEXTS], KINDS),
    "MultiLabelClassification": (
        {},
        stripping,
        [TEXTS],
        [[kind, "ทั้งหมด"][n % 3 :] for n, kind in enumerate(KINDS)],
    ),
    "TextPairClassification": ({}, stripping, [TEXTS, OTHER], KINDS),
    "TextRegression": ({}, stripping, [TEXTS], [n / 4 for n in EACH]),
    "TokenClassification": ({"dropout": 0.0}, stripping, [TEXTS], spans()),
    "TokenClassification of bytes": (
        {"dropout": 0.0},
        lambda: of_bytes("roberta"),
        [TEXTS],
        spans(),
    ),
    "QuestionAnswering": ({"dropout": 0.0}, stripping, [BEFORE, TEXTS], answers()),
    "Embedding": ({}, stripping, [TEXTS, NAMES], NAMES),
    "MultipleChoice": (
        {},
        stripping,
        [BEFORE, [[NAMES[n], OTHER[n], '"\\n" 🙂'] for n in EACH]],
        NAMES,
    ),
    "MaskedLM": ({"rate": 0.3}, stripping, [SPACED], SPACED),
    "CausalLM": ({"max_new_tokens": 32}, lambda: of_bytes("gpt2"), [BEFORE], NAMES),
    "Seq2Seq": ({"max_new_tokens": 32}, lambda: of_bytes("bart"), [TEXTS], NAMES),
}
# Of ten steps each, for what is to be learned by heart.
EPOCHS = {"TokenClassification": 10, "QuestionAnswering": 10, "MaskedLM": 40}
EPOCHS |= {"CausalLM": 15, "Seq2Seq": 18}


def written(path, names, columns):
    """Writes JSONL, every second line with escapes for all that is no ASCII; returns its path."""
    lines = [
        json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=bool(number % 2))
        for number, row in enumerate(zip(*columns, strict=True))
    ]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def asked(name, columns):
    """Returns the inputs of predictions: single texts of pairs, texts with the name hidden."""
    if name == "MaskedLM":
        return [[t.replace(n, MASK) for t, n in zip(columns[0], NAMES, strict=True)]]
    return columns[:1] if name == "Embedding" else columns


def check_report(folder, texts):
    """Reads what a run has written of its figures.

    Args:
      folder: of the run.
      texts: the inputs of each example.
    """
    report = json.loads((folder / "report.json").read_text("utf-8"))
    page = (folder / "report.html").read_text("utf-8")
    assert '<meta charset="utf-8">' in page.lower() and "\ufffd" not in page
    page = html.unescape(re.sub("<[^>]*>", "", re.sub("<small>[^<]*</small>", "", page)))
    packed = "".join(page.split())
    for row in [*report["mistakes"], *report["least_certain"], *report.get("written", [])]:
        assert row["text"] in ["\n".join(each) for each in texts]
        assert "".join(row["text"].split()) in packed
    divided = {row["value"] for row in report["slices"] if row["by"] == "script"}
    assert divided == set(SCRIPTS) and all(name in page for name in SCRIPTS)


def check_predictions(name, found):
    """Looks whether predictions say what was learned, and where it stands."""
    if name == "TokenClassification":
        for number, row in enumerate(found):
            [span] = row["spans"]
            assert (span["start"], span["end"]) == tuple(spans()[number][0][:2]), TEXTS[number]
            assert TEXTS[number][span["start"] : span["end"]] == span["text"] == NAMES[number]
            assert span["label"] == KINDS[number]
    elif name == "QuestionAnswering":
        for text, right, before, row in zip(TEXTS, NAMES, BEFORE, found, strict=True):
            assert (row["start"], row["end"]) == (len(before), len(before + right)), text
            assert text[row["start"] : row["end"]] == row["answer"] == right
    elif name == "MaskedLM":
        for text, right, row in zip(asked(name, [SPACED])[0], NAMES, found, strict=True):
            [place] = row["masks"]
            assert text[place["start"] : place["end"]] == MASK
            assert place["words"][0]["word"] == folded(right), text
    elif name in ("CausalLM", "Seq2Seq"):
        assert [row["text"] for row in found] == NAMES
    elif name == "MultipleChoice":
        assert all(row["choice"] in (*NAMES, '"\\n" 🙂') for row in found)
    elif name == "TextClassification":
        assert {row["label"] for row in found} <= set(KINDS)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_texts_of_all_scripts_pass_every_step(case, tmp_path):
    settings, make, columns, right = CASES[case]
    name = case.partition(" ")[0]
    task, body = getattr(tasks, name)(**settings), make()
    inputs = names_of(task.inputs)
    names = [*inputs, "label", "script"]
    table = zip(*columns, right, SCRIPTS, strict=True)
    rows = [dict(zip(names, row, strict=True)) for row in table]
    kind = {"classes": bool(task.target.are_classes), "columns": ["script"]}
    source = memory(rows * 10, test=rows, inputs=inputs, **kind)
    stage = tfft.Stage(
        epochs=EPOCHS.get(name, 1),
        learning_rate=1e-2,
        schedule=tfft.schedules.Linear(warmup=0),
        batch_size=len(rows),
    )
    run = tfft.train(task, body, source, [stage], workdir=tmp_path / "run", say=QUIET, plots=False)
    check_report(run.workdir, [row[:-1] for row in source.rows("test")])

    signature, read = serving_signature(run.task), run.answering[1]
    served = names_of(signature.inputs)
    given = written(tmp_path / "new.jsonl", served, asked(name, columns))
    out = tmp_path / "found.jsonl"
    where = {"input": given, "output": str(out), "text": served, "say": QUIET}
    api.predict(task, body, str(run.workdir), **where)
    found = predictions_in(out)
    check_predictions(name, found)

    if case == "TokenClassification":
        version = str(run.export(say=QUIET))
        out.unlink()
        exported.predict_export(version, input=given, output=str(out), say=QUIET)
        again = predictions_in(out)
    else:
        inputs = tuple(as_strings(column) for column in asked(name, columns))
        answers = Served(run.model, read.preprocessor, signature).answers(inputs)
        again = signature.format_answers(answers, Examples(inputs))
    assert difference(found, again) <= 1e-5


def predictions_in(path):
    """Returns the predictions of an output file without the numbers of their rows."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert [row.pop("row") for row in rows] == list(range(1, len(rows) + 1))
    return rows


def as_strings(values):
    """Returns the values of an input as a source gives them, lists in JSON."""
    return [value if isinstance(value, str) else json.dumps(value) for value in values]
