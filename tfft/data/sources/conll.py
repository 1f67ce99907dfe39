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

from tfft.argument_checks.validated import ANY, FILLED, FRACTION, each, validated
from tfft.data.formats.base import Format, lines
from tfft.data.formats.open_format import format_suffix, open_bytes, open_format
from tfft.data.formats.tables import Table
from tfft.data.sources.base import Source
from tfft.data.sources.split_rows import source_of_rows, split_paths
from tfft.data.splits import Rows, check_shares
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
    **each("data validation test", FILLED),
    **each("word tag", ANY),
    **each("validation_share test_share", FRACTION),
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
    paths, notes = split_paths(data, validation, test)
    for split, path in paths.items():
        rows[split], note = read(path, word=word, tag=tag, scheme=scheme, tag_names=tag_names)
        notes.append(note)
    shares = {"validation": validation_share, "test": test_share}
    source = source_of_rows(data, rows, notes, shares, see=SEE, classes=False)
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
    tag_names: Sequence[str] | None = None

    def name_of(self, tag: Any, where: str) -> str:
        """Returns a tag as text, by its name if it is a number and there are names.

        Raises:
          DataError: The tag is missing, or a number that has no name.
        """
        if tag is None or isinstance(tag, bool | list | dict):
            raise _error(f"a tag is {tag!r}.", where)
        name, names = str(tag).strip(), self.tag_names
        if not names or name in names:
            return name
        number = int(name) if _NUMBER.fullmatch(name) else -1
        if not 0 <= number < len(names):
            valid = f"0 to {len(names) - 1}, for {len(names)} names in conll.tag_names"
            raise _error(f"the tag {name!r} has no name.", where, valid)
        return names[number]


def _error(problem: str, where: str, valid: str = VALID) -> DataError:
    return DataError(problem, set_in=where, valid=valid, see=SEE)


def read(path: str, **columns: Any) -> tuple[Rows, str]:
    """Returns the texts and the spans of a file, and a note with counts.

    Args:
      columns: arguments of `TagSettings`.

    Raises:
      DataError: it cannot be read.
    """
    settings = TagSettings(**columns)
    texts, answers, words, spans, numbered = [], [], 0, 0, settings.scheme == "words"
    has_lists = local_path(path, DataError).is_dir() or format_suffix(path)[0] in LISTED
    try:
        for sentence in (_lists if has_lists else _sentences)(path, settings):
            texts.append(_joined(sentence))
            own_spans = spans_of(sentence)
            answers.append(json.dumps(own_spans, ensure_ascii=False))
            words, spans = words + len(sentence), spans + len(own_spans)
            numbered = numbered and all(_NUMBER.fullmatch(label) for _, _, label in sentence)
    except DataError as error:
        error.see = error.see or SEE
        raise
    if not texts:
        raise _error("the file has no sentence.", path, "a word a line")
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
        raise _error(f"there are {len(words)} words with {len(tags)} tags.", where, LISTS)
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
    spans: list[tuple[int, int, str]] = []
    place, before = 0, (OUTSIDE, "")
    for word, kind, label in sentence:
        end = place + len(word)
        if kind in "IEL" and label == before[1] and before[0] not in LAST:
            spans[-1] = (spans[-1][0], end, label)
        elif kind != OUTSIDE:
            spans.append((place, end, label))
        place, before = end + 1, (kind, label)
    return spans


def _lists(path: str, settings: TagSettings) -> Iterator[list[Word]]:
    """Yields the sentences of a table with a list of words and a list of tags in each row."""
    file = open_format(path)
    word = _column(file, "word", settings.word, WORDS)
    tag = _column(file, "tag", settings.tag, TAGS)
    for number, (words, tags) in file.rows([word, tag]):
        where = file.place(number)
        lists = isinstance(words, list) and isinstance(tags, list) and len(words) == len(tags)
        if not lists or not words:
            what = "are no two lists of the same length, of one word or more"
            raise _error(f"{word} and {tag} {what}.", where, LISTS)
        pairs = zip(words, tags, strict=True)
        yield [_tagged(_word_of(value, where), name, where, settings) for value, name in pairs]


def _word_of(value: Any, where: str) -> str:
    """Returns an item of a list of words as text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        raise _error(f"a word is {str(value)[:80]}, not a string.", where, LISTS)
    return "" if value is None else str(value)


def _column(file: Format, kind: str, name: int | str, usual: Sequence[str]) -> str:
    """Returns the name of a table's column of lists."""
    if isinstance(name, str):
        columns, problem = [name], f"has no column {name!r}."
    else:
        columns = [each for each in file.names if each.lower() in usual]
        problem = f"has {len(columns)} columns that could be the {kind}s."
    if len(columns) != 1 or columns[0] not in file.names:
        valid = near(str(name), file.names, 12)
        raise _error(f"{file.where} {problem}", f"conll.{kind}", valid)
    return columns[0]


def _sentences(path: str, settings: TagSettings) -> Iterator[list[Word]]:
    """Yields the sentences of a file with a word a line.

    A blank line ends a sentence, and so does a line of `DOCUMENT`.
    """
    sentence: list[Word] = []
    has_blank, counts, words, ends = False, True, 0, 0
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
            counts = counts and sentence[-1][0] in (str(len(sentence)), str(len(sentence) - 1))
            continue
        has_blank = has_blank or not line.strip()
        if sentence:
            yield sentence
        sentence = []
    if sentence:
        yield sentence
    if counts and words > 2:
        raise DataError(
            f"column {settings.word} of {path} counts the words of each sentence.",
            set_in="conll.word",
            valid="the number of the column with the words, such as conll.word = 1",
        )
    if not has_blank and words > UNSEPARATED and (ends > 1 or words > 4 * UNSEPARATED):
        place = settings.word
        column = place + 1 if isinstance(place, int) and place >= 0 else "NF"
        command = f"awk '{{print}} ${column} ~ /^[.!?]$/ {{print \"\"}}' FILE > NEW"
        raise DataError(
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
        texts = columns[word].strip(), columns[tag].strip()
    except (IndexError, TypeError):
        raise DataError(
            f"the line has {len(columns)} columns, and column {word} is to be the word and "
            f"column {tag} the tag.",
            set_in=where,
            valid=_advice(path, settings)
            or "conll.word and conll.tag within the columns; a blank line between sentences",
        ) from None
    if len(columns) < 2:
        raise _error(f"the line has one column: {line[:80]!r}", where)
    try:
        return _tagged(*texts, where, settings)
    except DataError as error:
        error.valid = _advice(path, settings) or error.valid
        raise


def _advice(path: str, settings: TagSettings) -> str | None:
    """Returns the settings that a file's first lines ask for, or None if these do not show them."""
    with_text = (line for line in _lines(path) if line.strip() and not line.startswith(DOCUMENT))
    sample = list(itertools.islice(with_text, SAMPLE))
    rows = [_columns(line) for line in sample if not line.startswith("# ")]
    has_comments = len(rows) < len(sample)
    if rows and all(len(row) == 10 and row[0][:1].isdigit() for row in rows):  # CoNLL-U
        without = "grep -v '^#' FILE > NEW; then " if has_comments else ""
        return f'{without}conll.word = 1, conll.tag = 3, conll.scheme = "words"'
    if has_comments:
        return "lines of words and tags alone: grep -v '^# ' FILE > NEW"
    columns = [{value.strip() for value in column} for column in zip(*rows, strict=False)]
    width = len(columns)
    tags = [n for n, c in enumerate(columns) if all(map(_SPAN_TAG.fullmatch, c)) and c != {"O"}]
    if len(tags) == 1 and settings.scheme == "spans":
        [tag] = tags
        others = [place for place in range(width) if place != tag]
        if others and settings.tag not in (tag, tag - width):
            word = settings.word if settings.word in others else others[0]
            return f"conll.word = {word}, conll.tag = {tag}: that column has the tags"
    return None


def _tagged(word: str, tag: Any, where: str, settings: TagSettings) -> Word:
    """Returns a word with the kind and the label of its tag."""
    name = settings.name_of(tag, where)
    if settings.scheme == "words" and word.strip() and name.strip():
        return word, ALONE[0], name
    kind, _, label = name.partition("-")
    known = name == OUTSIDE or (len(kind) == 1 and kind in "BIELSU" and label)
    if not word.strip() or not known:
        what = f"the tag {name!r} is none" if word.strip() else "the word is empty"
        valid = VALID + '; conll.scheme = "words" where tags are labels of single words'
        if _NUMBER.fullmatch(name):
            what, valid = f"the tag {name!r} is a number without a name", NUMBERS
        raise _error(f"{what}: {word[:80]!r}", where, valid)
    return word, kind, label
