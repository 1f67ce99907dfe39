"""E-mails out of an archive that is made here, as the package has them."""

import io
import json
import tarfile

import pytest

from tfft.data.sources.demo import spam_assassin as mails
from tfft.errors import DataError
from tfft.storage.downloads import fetch

PLAIN = "From a\nSubject: =?utf-8?q?caf=C3=A9?= now\nReceived: by spamtrap\n\n  Hello \n\nyou\n"
MARKUP = (
    "Subject: Buy\nContent-Type: text/html; charset=iso-8859-1\n"
    "Content-Transfer-Encoding: quoted-printable\n\n"
    "<html><style>p {}</style><!-- <b> --><p>Caf=E9 &amp; bar</p>\n<script>x<y</script></html>"
)
BOTH = (
    'Subject: Two\nContent-Type: multipart/alternative; boundary="x"\n\n'
    "--x\nContent-Type: text/plain\n\nplain words\n"
    "--x\nContent-Type: text/html\n\n<b>other words</b>\n--x--\n"
)


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, raw in files:
            content = json.dumps({"text": raw}).encode() if isinstance(raw, str) else raw
            info = tarfile.TarInfo(f"package/data/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    "raw,text",
    [
        (PLAIN, "café now\nHello\nyou"),
        (MARKUP, "Buy\nCafé & bar"),
        (BOTH, "Two\nplain words"),
        ("no headers", "no headers"),
        ("Subject: =?no-such-code?q?a?=\nContent-Type: text/plain; charset=odd\n\nb\n", None),
        ("Content-Type: image/png\n\nabc", ""),
    ],
)
def test_a_text_is_subject_and_body(raw, text):
    found = mails.text_of(raw)
    assert found == text or text is None and found.endswith("b")


def test_an_archive_is_read_and_what_is_dropped_is_told(tmp_path):
    files = [
        ("spam-1/1.json", MARKUP),
        ("easy-ham-1/2.json", PLAIN),
        ("easy-ham-1/2.txt", b"not read"),
        ("hard-ham-1/3.json", PLAIN),
        ("spam-2/4.json", BOTH),
        ("easy-ham-2/5.json", BOTH),
        ("easy-ham-2/6.json", "Subject:\n\n"),
        ("data.js", b"not read"),
    ]
    (texts, labels), notes = mails.labelled(mails.read(archive(tmp_path / "a.tgz", files)))
    assert dict(zip(texts, labels, strict=True)) == {
        "Buy\nCafé & bar": "spam",
        "café now\nHello\nyou": "ham",
    }
    assert notes[0].startswith("6 e-mails, of which 2 are kept")
    assert notes[1].startswith("1 without a text dropped, 1 repeated ones dropped, 2 that stand")


def test_a_broken_archive_is_told(tmp_path):
    (tmp_path / "a.tgz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read"):
        list(mails.read(tmp_path / "a.tgz"))
    with pytest.raises(DataError, match="cannot be read"):
        list(mails.read(archive(tmp_path / "b.tgz", [("spam-1/1.json", b"{")])))


def test_the_source_reads_what_was_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("TFFT_HOME", str(tmp_path))
    with pytest.raises(DataError) as caught:
        mails.spam_assassin()
    assert caught.value.see == "tfft fetch spam_assassin"
    folder = tmp_path / "spam_assassin"
    folder.mkdir()
    files = [
        (f"{'spam' if n % 2 else 'easy-ham'}-1/{n}.json", f"Subject: m{n}\n\nb") for n in range(200)
    ]
    archive(folder / mails.FILE, files)
    monkeypatch.setattr(fetch, "path", lambda name: folder)  # the archive is not the pinned one
    source = mails.spam_assassin()
    assert source.labels == ("ham", "spam")
    assert sum(source.size(split) for split in source.splits) == 200
    again = {split: list(source.rows(split)) for split in source.splits}
    assert again == {split: list(mails.spam_assassin().rows(split)) for split in source.splits}
