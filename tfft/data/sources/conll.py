"""Words with a tag each: a word a line and a blank line between sentences, or lists in a table.

A word a line is how the shared tasks of CoNLL have them (Tjong Kim Sang and De Meulder, 2003). The
columns stand between tabs, or between spaces where a line has no tab. Tags are IOB1, IOB2 (BIO),
BIOES or BILOU, and one rule reads them all; or each is the label of its word, as parts of speech
are.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from tfft.argument_checks.validated import ANY, FILLED, FRACTION, validated
from tfft.data.formats.base import Format, lines
from tfft.data.formats.open_format import format_suffix, open_bytes, open_format
from tfft.data.formats.tables import Table
from tfft.data.sources.base import MemorySource, Source
from tfft.data.sources.files import parts
from tfft.data.splits import Rows, check_shares, complete, take, without_overlap
from tfft.errors import DataError, near
from tfft.storage.foreign_files import local_path

DOCUMENT = "-DOCSTART-"  # CoNLL-2003's line between documents
ALONE, LAST, OUTSIDE = "SU", "ELSU", "O"
VALID = "O, or B-, I-, E-, L-, S- or U- with a label behind it, such as B-person"
LISTS = '{"tokens": ["Ada", "came"], "tags": ["B-person", "O"]}'
FORMAT = "conll"  # in the schema of a source, which runs and exports keep
LISTED = (".json", ".jsonl", ".ndjson", ".parquet", ".arrow")
WORDS = ("tokens", "words")
TAGS = ("tags", "ner_tags", "pos_tags", "chunk_tags", "labels")
SEE = "tfft check --gin_file=quick/tagging.gin --gin.DATA=FILE"
NUMBERS = 'conll.tag_names = ("O", "B-person", ...), the names in the order of the numbers from 0'
UNSEPARATED = 50  # words of a file without any blank line that are surely several sentences
SAMPLE = 1000  # lines in which the columns of a file are looked for
_SENTENCE_ENDS = (".", "!", "?")
_SPAN_TAG = re.compile(r"O|[BIELSU]-.+")
_NUMBER = re.compile(r"[+-]?\d+")
_COMMENT = re.compile(r"# ?\w+ = ")  # of CoNLL-U, before a sentence
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
    tag_names: Sequence[str] | None = None,
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
      tag_names: The names of tags that are numbers, in the order of the numbers from 0.
      validation_share, test_share: of the training file, for a split that has no file of its own,
        equal sentences together; 0 for no such split.

    Raises:
      DataError: a file cannot be read, and in which line.
    """
    check_shares(validation_share, test_share)
    rows: dict[str, Rows] = {}
    paths, notes = parts(str(data), validation, test)
    for split, path in paths.items():
        rows[split], found = read(path, word, tag, scheme, tag_names)
        notes.append(found)
    kept, dropped = without_overlap(rows)
    rows = {split: take(part, kept[split]) for split, part in rows.items()}
    shares = {"validation": validation_share, "test": test_share}
    rows, made = complete(str(data), rows, shares, classes=False)
    source = MemorySource(str(data), rows, [*notes, *made, *dropped], see=SEE, classes=False)
    source.schema = {
        **{"inputs": ["text"], "label": "label", "format": FORMAT, "word": word, "tag": tag},
        **{"scheme": scheme, "tag_names": None if tag_names is None else list(tag_names)},
    }
    return source


def table(path: str, schema: Mapping[str, Any], labelled: bool) -> Table:
    """Returns the sentences of another file, read as the file of the training was.

    Args:
      schema: of the training's source.
      labelled: whether the spans are its answers.
    """
    names = ("word", "tag", "scheme", "tag_names")
    settings: dict[str, Any] = {name: schema.get(name) for name in names}
    (texts, answers), note = read(path, **settings)
    numbers = range(1, len(texts) + 1)
    place = f"{path}, sentence {{:,}}".format
    spans = list(answers) if labelled else None
    return Table((list(texts),), spans, (note,), numbers, place, rows=numbers)


@dataclasses.dataclass(frozen=True)
class TagSettings:
    """Columns of words and tags, and how a tag is read; see `conll`."""

    word: int | str = 0
    tag: int | str = -1
    scheme: str = "spans"
    names: tuple[str, ...] = ()

    def name_of(self, tag: Any, where: str) -> str:
        """Returns a tag as text, by its name if it is a number and there are names.

        Raises:
          DataError: The tag is missing, or a number that has no name.
        """
        if tag is None or isinstance(tag, bool | list | dict):
            raise DataError(f"a tag is {tag!r}.", set_in=where, valid=VALID, see=SEE)
        name = str(tag).strip()
        if not self.names or name in self.names:
            return name
        number = int(name) if _NUMBER.fullmatch(name) else -1
        if not 0 <= number < len(self.names):
            raise DataError(
                f"the tag {name!r} has no name.",
                set_in=where,
                valid=f"0 to {len(self.names) - 1}, for {len(self.names)} names in conll.tag_names",
                see=SEE,
            )
        return self.names[number]


def read(
    path: str,
    word: int | str = 0,
    tag: int | str = -1,
    scheme: str = "spans",
    tag_names: Sequence[str] | None = None,
) -> tuple[Rows, str]:
    """Returns the texts and the spans of a file, and a note with counts.

    Raises:
      DataError: it cannot be read.
    """
    settings = TagSettings(word, tag, scheme, tuple(tag_names or ()))
    texts, answers, words, spans, numbered = [], [], 0, 0, scheme == "words"
    place = local_path(path, DataError)
    listed = place.is_dir() or format_suffix(path)[0] in LISTED
    try:
        for sentence in (_lists if listed else _sentences)(path, settings):
            found = spans_of(sentence)
            texts.append(_joined(sentence))
            answers.append(json.dumps(found, ensure_ascii=False))
            words, spans = words + len(sentence), spans + len(found)
            numbered = numbered and all(_NUMBER.fullmatch(label) for _, _, label in sentence)
    except DataError as error:
        error.see = error.see or SEE
        raise
    if not texts:
        raise DataError("the file has no sentence.", set_in=path, valid="a word a line", see=SEE)
    note = f"{path}: {len(texts):,} sentences, {words:,} words, {spans:,} spans"
    return (texts, answers), note + (f"; all tags are numbers: {NUMBERS}" if numbered else "")


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
    settings = TagSettings()
    sentence = [_tagged(*pair, where, settings) for pair in zip(words, tags, strict=True)]
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


def _lists(path: str, settings: TagSettings) -> Iterator[list[Word]]:
    """Yields the sentences of a table with a list of words and a list of tags in each row."""
    file = open_format(path)
    columns = (("word", settings.word, WORDS), ("tag", settings.tag, TAGS))
    names = [_column(file, *each) for each in columns]
    for number, (words, tags) in file.rows(names):
        where = file.place(number)
        lists = isinstance(words, list) and isinstance(tags, list) and len(words) == len(tags)
        if not lists or not words:
            what = "are no two lists of the same length, of one word or more"
            raise DataError(
                f"{names[0]} and {names[1]} {what}.", set_in=where, valid=LISTS, see=SEE
            )
        pairs = zip(words, tags, strict=True)
        yield [_tagged(_word_of(each, where), tagged, where, settings) for each, tagged in pairs]


def _word_of(value: Any, where: str) -> str:
    """Returns an item of a list of words as text."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
        raise DataError(
            f"a word is {str(value)[:80]}, not a string.", set_in=where, valid=LISTS, see=SEE
        )
    return "" if value is None else str(value)


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


def _sentences(path: str, settings: TagSettings) -> Iterator[list[Word]]:
    """Yields the sentences of a file with a word a line.

    A blank line ends a sentence, and so does a line of `DOCUMENT`.
    """
    sentence: list[Word] = []
    blank, counted, words, ends = False, True, 0, 0
    for number, line in enumerate(_lines(path), 1):
        if not sentence and _COMMENT.match(line):
            raise DataError(
                f"the line is a comment: {line[:80]!r}",
                set_in=f"{path}:{number:,}",
                valid=_advice(path, settings) or "grep -v '^#' FILE > NEW",
            )
        if line.strip() and not line.startswith(DOCUMENT):
            sentence.append(_word(line, path, number, settings))
            words, ends = words + 1, ends + (sentence[-1][0] in _SENTENCE_ENDS)
            counted = counted and sentence[-1][0] in (str(len(sentence)), str(len(sentence) - 1))
            continue
        blank = blank or not line.strip()
        if sentence:
            yield sentence
        sentence = []
    if sentence:
        yield sentence
    if counted and words > 2:
        raise DataError(
            f"column {settings.word} of {path} counts the words of each sentence.",
            set_in="conll.word",
            valid="the number of the column with the words, such as conll.word = 1",
        )
    if not blank and words > UNSEPARATED and (ends > 1 or words > 4 * UNSEPARATED):
        raise _unseparated(path, words, settings)


def _unseparated(path: str, words: int, settings: TagSettings) -> DataError:
    column = settings.word + 1 if isinstance(settings.word, int) and settings.word >= 0 else "NF"
    command = f"awk '{{print}} ${column} ~ /^[.!?]$/ {{print \"\"}}' FILE > NEW"
    return DataError(
        f"{path} has {words:,} words and no blank line: all of it would be one sentence.",
        set_in=path,
        valid=f"a blank line behind each sentence. Where sentences end in . ! or ?: {command}",
    )


def _lines(path: str) -> Iterator[str]:
    with open_bytes(path) as file:
        for line in lines(file, path):
            yield line.rstrip("\r\n")


def _columns(line: str) -> list[str]:
    return line.split("\t") if "\t" in line else line.split()


def _word(line: str, path: str, number: int, settings: TagSettings) -> Word:
    where, columns = f"{path}:{number:,}", _columns(line)
    word: Any = settings.word
    tag: Any = settings.tag
    try:
        written, tagged = columns[word].strip(), columns[tag].strip()
    except (IndexError, TypeError):
        raise DataError(
            f"the line has {len(columns)} columns, and column {word} is to be the word and "
            f"column {tag} the tag.",
            set_in=where,
            valid=_advice(path, settings)
            or "conll.word and conll.tag within the columns; a blank line between sentences",
        ) from None
    if len(columns) < 2:
        raise DataError(f"the line has one column: {line[:80]!r}", set_in=where, valid=VALID)
    try:
        return _tagged(written, tagged, where, settings)
    except DataError as error:
        error.valid = _advice(path, settings) or error.valid
        raise


def _advice(path: str, settings: TagSettings) -> str | None:
    """Returns the settings that a file's first lines ask for, or None if these do not show them."""
    with_text = (line for line in _lines(path) if line.strip() and not line.startswith(DOCUMENT))
    sample = list(itertools.islice(with_text, SAMPLE))
    rows = [_columns(line) for line in sample if not line.startswith("# ")]
    comments = len(rows) < len(sample)
    if rows and all(len(row) == 10 and row[0][:1].isdigit() for row in rows):  # CoNLL-U
        without = "grep -v '^#' FILE > NEW; then " if comments else ""
        return f'{without}conll.word = 1, conll.tag = 3, conll.scheme = "words"'
    if comments:
        return "lines of words and tags alone: grep -v '^# ' FILE > NEW"
    width = min(map(len, rows), default=0)
    parts = [[row[place].strip() for row in rows] for place in range(width)]
    kinds = [all(map(_SPAN_TAG.fullmatch, part)) and {*part} != {"O"} for part in parts]
    if kinds.count(True) == 1 and settings.scheme == "spans":
        tag = kinds.index(True)
        others = [place for place in range(width) if place != tag]
        if others and settings.tag not in (tag, tag - width):
            word = settings.word if settings.word in others else others[0]
            return f"conll.word = {word}, conll.tag = {tag}: that column has the tags"
    return None


def _tagged(written: str, tag: Any, where: str, settings: TagSettings) -> Word:
    """Returns a word with its tag taken apart."""
    tagged = settings.name_of(tag, where)
    if settings.scheme == "words" and written.strip() and tagged.strip():
        return written, ALONE[0], tagged
    kind, _, label = tagged.partition("-")
    known = tagged == OUTSIDE or (len(kind) == 1 and kind in "BIELSU" and label)
    if not written.strip() or not known:
        what = f"the tag {tagged!r} is none" if written.strip() else "the word is empty"
        valid = VALID + '; conll.scheme = "words" where tags are labels of single words'
        if _NUMBER.fullmatch(tagged):
            what, valid = f"the tag {tagged!r} is a number without a name", NUMBERS
        raise DataError(f"{what}: {written[:80]!r}", set_in=where, valid=valid, see=SEE)
    return written, kind, label
