"""Words with a tag each: a word a line and a blank line between sentences, or lists in a table.

A word a line is how the shared tasks of CoNLL have them (Tjong Kim Sang and De Meulder, 2003). The
columns stand between tabs, or between spaces where a line has no tab. Tags are IOB1, IOB2 (BIO),
BIOES or BILOU, and one rule reads them all; or each is the label of its word, as parts of speech
are.
"""

from __future__ import annotations

import itertools
import json
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from tfft.arguments import ANY, FILLED, FRACTION, validated
from tfft.errors import DataError, near
from tfft.sources import (
    MemorySource,
    Rows,
    Source,
    check_shares,
    completed,
    take,
    without_overlap,
)
from tfft.sources._formats import Format
from tfft.sources._open import open_format
from tfft.sources.files import parts

DOCUMENT = "-DOCSTART-"  # CoNLL-2003's line between documents
ALONE, LAST, OUTSIDE = "SU", "ELSU", "O"
VALID = "O, or B-, I-, E-, L-, S- or U- with a label behind it, such as B-person"
LISTS = '{"tokens": ["Ada", "came"], "tags": ["B-person", "O"]}'
LISTED = (".jsonl", ".ndjson", ".parquet", ".arrow")
WORDS = ("tokens", "words")
TAGS = ("tags", "ner_tags", "pos_tags", "chunk_tags", "labels")
SEE = "tfft check --gin_file=quick/tagging.gin --gin.DATA=FILE"
Word = tuple[str, str, str]  # as it is written; the tag's kind, such as "B"; its label


@validated(
    data=FILLED,
    validation=FILLED,
    test=FILLED,
    word=ANY,
    tag=ANY,
    validation_share=FRACTION,
    test_share=FRACTION,
)
def conll(
    data: str,
    *,
    validation: str | None = None,
    test: str | None = None,
    word: int | str = 0,
    tag: int | str = -1,
    scheme: Literal["spans", "words"] = "spans",
    validation_share: float = 0.1,
    test_share: float = 0.1,
) -> Source:
    """Returns a source of sentences, the words joined by spaces, with spans in JSON.

    A sentence that is in the test split is dropped from the others, one that is in the validation
    split from the training split, when they come from files of their own.

    Args:
      data: the training file; or a .jsonl, .parquet or .arrow file with a list of words and one of
        tags in each row; or a folder that `save_to_disk` of Hugging Face's `datasets` wrote; or one
        with a train, validation and test part of these kinds.
      validation, test: files of their own.
      word, tag: the numbers of the columns, from 0, below 0 from the end; of lists the names of
        their columns, by default the only ones of the usual names: tokens or words, and tags,
        ner_tags, pos_tags, chunk_tags or labels.
      scheme: "spans" for tags of spans, such as B-person; "words" for tags that are labels of
        single words, such as NN.
      validation_share, test_share: what is taken from the training file by a hash of the sentence,
        for a split that has no file of its own; 0 for no such split.

    Raises:
      DataError: a file cannot be read, and in which line.
    """
    check_shares(validation_share, test_share)
    rows: dict[str, Rows] = {}
    paths, notes = parts(str(data), validation, test)
    for split, path in paths.items():
        rows[split], note = read(path, word, tag, scheme)
        notes.append(note)
    kept, dropped = without_overlap(rows)
    rows = {split: take(part, kept[split]) for split, part in rows.items()}
    shares = {"validation": validation_share, "test": test_share}
    rows, made = completed(str(data), rows, shares, classes=False)
    return MemorySource(str(data), rows, [*notes, *made, *dropped], see=SEE, classes=False)


def read(
    path: str, word: int | str = 0, tag: int | str = -1, scheme: str = "spans"
) -> tuple[Rows, str]:
    """Returns the texts and the spans of a file, and a note with counts.

    Raises:
      DataError: it cannot be read.
    """
    texts, answers, words, spans = [], [], 0, 0
    place = pathlib.Path(path).expanduser()
    listed = place.is_dir() or place.suffix.lower() in LISTED
    for sentence in (_lists if listed else _sentences)(path, word, tag, scheme):
        found = spans_of(sentence)
        texts.append(_joined(sentence))
        answers.append(json.dumps(found, ensure_ascii=False))
        words, spans = words + len(sentence), spans + len(found)
    if not texts:
        raise DataError("the file has no sentence.", set_in=path, valid="a word a line", see=SEE)
    note = f"{path}: {len(texts):,} sentences, {words:,} words, {spans:,} spans"
    return (texts, answers), note


def tagged_words(words: Sequence[str], tags: Sequence[str], where: str) -> tuple[str, str]:
    """Returns the words joined by spaces, and their spans in JSON.

    Args:
      words, tags: of one sentence, as many of each.
      where: its place, for an error.

    Raises:
      DataError: they are not as many, there is none, or a tag is of no scheme.
    """
    if len(words) != len(tags) or not words:
        what = f"{len(words)} words with {len(tags)} tags"
        raise DataError(f"there are {what}.", set_in=where, valid=LISTS, see=SEE)
    sentence = [_tagged(*pair, where) for pair in zip(words, tags, strict=True)]
    return _joined(sentence), json.dumps(spans_of(sentence), ensure_ascii=False)


def _joined(sentence: Sequence[Word]) -> str:
    return " ".join(written for written, _, _ in sentence)


def spans_of(sentence: Sequence[Word]) -> list[tuple[int, int, str]]:
    """Returns start, end and label of each span, in characters of the words joined by spaces.

    A word continues a span when its tag is I, E or L, the word before has the same label, and the
    span did not end there; any other tag with a label begins one.
    """
    found: list[tuple[int, int, str]] = []
    place, before = 0, (OUTSIDE, "")
    for written, kind, label in sentence:
        end = place + len(written)
        goes_on = kind in "IEL" and label == before[1] and before[0] not in LAST
        if kind != OUTSIDE and goes_on:
            found[-1] = (found[-1][0], end, label)
        elif kind != OUTSIDE:
            found.append((place, end, label))
        place, before = end + 1, (kind, label)
    return found


def _lists(path: str, word: int | str, tag: int | str, scheme: str) -> Iterator[list[Word]]:
    """Yields the sentences of a table with a list of words and a list of tags in each row."""
    file = open_format(path)
    names = [_column(file, *each) for each in (("word", word, WORDS), ("tag", tag, TAGS))]
    for number, (words, tags) in file.rows(names):
        where = file.place(number)
        lists = isinstance(words, list) and isinstance(tags, list) and len(words) == len(tags)
        if not lists or not words:
            what = "are no two lists of the same length, of one word or more"
            raise DataError(
                f"{names[0]} and {names[1]} {what}.", set_in=where, valid=LISTS, see=SEE
            )
        pairs = zip(words, tags, strict=True)
        yield [_tagged(str(w or ""), str(t), where, scheme) for w, t in pairs]


def _column(file: Format, kind: str, name: int | str, usual: Sequence[str]) -> str:
    """Returns the name of a table's column of lists."""
    found = [name] if isinstance(name, str) else [n for n in file.names if n.lower() in usual]
    if len(found) != 1 or found[0] not in file.names:
        raise DataError(
            f"{file.where} has no column {name!r}."
            if isinstance(name, str)
            else f"{file.where} has {len(found)} columns that could be the {kind}s.",
            set_in=f"conll.{kind}",
            valid=near(str(name), file.names, 12),
            see=SEE,
        )
    return found[0]


def _sentences(path: str, word: int | str, tag: int | str, scheme: str) -> Iterator[list[Word]]:
    lines = enumerate(_lines(path), 1)
    for blank, part in itertools.groupby(lines, lambda line: not line[1].strip()):
        if blank:
            continue
        found = [_word(line, path, number, word, tag, scheme) for number, line in part]
        if found[0][0] != DOCUMENT or len(found) > 1:
            yield found


def _lines(path: str) -> Iterator[str]:
    try:
        with pathlib.Path(path).expanduser().open("rb") as file:
            for number, line in enumerate(file, 1):
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the line is not UTF-8: {error.reason}, at {error.start}.",
            set_in=f"{path}:{number:,}",
            valid="iconv -f latin1 -t utf-8 FILE > NEW",
            see=SEE,
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", valid="a file of words and tags", see=SEE
        ) from error


def _word(line: str, path: str, number: int, word: Any, tag: Any, scheme: str) -> Word:
    where = f"{path}:{number:,}"
    columns = line.split("\t") if "\t" in line else line.split()
    try:
        written, tagged = columns[word].strip(), columns[tag].strip()
    except (IndexError, TypeError):
        raise DataError(
            f"the line has {len(columns)} columns, and column {word} is to be the word and "
            f"column {tag} the tag.",
            set_in=where,
            valid="conll.word and conll.tag within the columns; a blank line between sentences",
            see=SEE,
        ) from None
    if len(columns) < 2:
        raise DataError(
            f"the line has one column: {line[:80]!r}", set_in=where, valid=VALID, see=SEE
        )
    return _tagged(written, tagged, where, scheme)


def _tagged(written: str, tagged: str, where: str, scheme: str = "spans") -> Word:
    """Returns a word with its tag taken apart."""
    if scheme == "words" and written.strip() and tagged.strip():
        return written, ALONE[0], tagged
    kind, _, label = tagged.partition("-")
    known = tagged == OUTSIDE or (len(kind) == 1 and kind in "BIELSU" and label)
    if not written.strip() or not known:
        what = f"the tag {tagged!r} is none" if written.strip() else "the word is empty"
        valid = VALID + '; conll.scheme = "words" where tags are labels of single words'
        raise DataError(f"{what}: {written[:80]!r}", set_in=where, valid=valid, see=SEE)
    return written, kind, label
