"""Ways to damage a file of a run or of the store."""

import re
import shutil


def flipped(content, start):
    """Returns bytes with one bit changed: the lowest of the first letter or digit from a place."""
    found = re.compile(rb"[a-z0-9]").search(content, start)
    place = found.start() if found else start
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def payload(content):
    """Flips a bit of the last tensor, or in the middle of a text."""
    if content[8:9] == b"{":
        return content[:-3] + bytes([content[-3] ^ 1]) + content[-2:]
    return flipped(content, len(content) // 2)


CHANGES = {
    "half": lambda content: content[: len(content) // 2],
    "byte cut": lambda content: content[:-1],
    "bit of the payload": payload,
    "bit of the header": lambda content: flipped(content, 8),
    "emptied": lambda content: b"",
}
DAMAGES = (*CHANGES, "deleted", "exchanged", "folder")


def damage(path, kind, other):
    """Damages a file; `other` is the same file of another run."""
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "exchanged":
        shutil.copyfile(other, path)
    elif kind != "deleted":
        path.write_bytes(CHANGES[kind](content))
