"""Single files out of archives that were downloaded, with no trust in what else is in them."""

from __future__ import annotations

import contextlib
import io
import pathlib
import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from typing import IO

from tfft.errors import DataError


def unpack(archive: pathlib.Path, title: str, inside: str, target: pathlib.Path) -> None:
    """Writes one plain file of an archive to `target`.

    Args:
      archive: a .whl, a tar or a .deb.
      title: its name for a person.
      inside: the file's path inside; "outer!inner" looks inside an inner tar, "" is the archive
        itself.
      target: the file to write.

    Raises:
      DataError: the archive is broken or has odd members; they are looked for in any case.
    """
    outer, _, inner = inside.partition("!")
    if not inside:
        shutil.copyfile(archive, target)
        return
    with contextlib.ExitStack() as opened:
        try:
            file = _member(opened, archive.open("rb"), title, outer)
            if inner:
                file = _tar_member(opened, file, outer, inner)
            with target.open("wb") as copy:
                shutil.copyfileobj(file, copy)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            raise DataError(f"the archive {title} is broken: {error}.") from error


def _member(opened: contextlib.ExitStack, file: IO[bytes], title: str, name: str) -> IO[bytes]:
    opened.enter_context(file)
    if title.endswith(".deb"):
        return _tar_member(opened, _deb_data(file, title), title, name)
    if not title.endswith(".whl"):
        return _tar_member(opened, file, title, name)
    archive = opened.enter_context(zipfile.ZipFile(file))
    kinds = [(each.filename, _zip_is_plain(each)) for each in archive.infolist()]
    _refuse_odd(title, kinds, name)
    return opened.enter_context(archive.open(name))


def _deb_data(file: IO[bytes], title: str) -> IO[bytes]:
    """Returns the tar archive of a Debian package's files; see deb(5) for the ar around it."""
    if file.read(8) != b"!<arch>\n":
        raise DataError(f"the archive {title} is no Debian package.")
    while len(head := file.read(60)) == 60:
        name, size = head[:16].decode("ascii", "replace").strip(" /"), head[48:58].strip()
        if not size.isdigit():
            break
        if name.startswith("data.tar"):
            return io.BytesIO(file.read(int(size)))
        file.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise DataError(f"the archive {title} is broken: it holds no data.tar.")


def _zip_is_plain(member: zipfile.ZipInfo) -> bool:
    kind = member.external_attr >> 28  # the file type of a Unix mode; 0 where none was written
    return kind in (0, 0o4, 0o10)


def _tar_member(opened: contextlib.ExitStack, file: IO[bytes], title: str, name: str) -> IO[bytes]:
    archive = opened.enter_context(tarfile.TarFile.open(fileobj=file))
    kinds = [(each.name, each.isfile() or each.isdir()) for each in archive.getmembers()]
    _refuse_odd(title, kinds, name)
    found = archive.extractfile(name)
    if found is None:
        raise DataError(f"the archive {title} holds {name} as a folder, not as a file.")
    return opened.enter_context(found)


def _refuse_odd(title: str, members: Iterable[tuple[str, bool]], wanted: str) -> None:
    """Refuses an archive with members that no honest one has, even when they are not unpacked."""
    names = []
    for name, plain in members:
        parts = name.replace("\\", "/").split("/")
        if ".." in parts or parts[0] == "" or ":" in parts[0]:
            raise DataError(f"the archive {title} has a member outside of its folder: {name!r}.")
        if not plain:
            raise DataError(f"the archive {title} has a link or a device in it: {name!r}.")
        names.append(name)
    if names.count(wanted) != 1:
        raise DataError(
            f"the archive {title} holds {wanted} {names.count(wanted)} times.", valid="once"
        )
