"""Readers of exports on millions of damaged files: each is read, or refused by a `UserError`."""

import copy
import json
import os
import random
import shutil
import time

import pytest
from finished_runs import reviews

from tfft.errors import UserError
from tfft.export import manifest, operations
from tfft.runs import exported
from tfft.storage.checksums import seal

ODD = (
    *(None, True, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), "", "\0", "text", "é"),
    *("\ud800", "x" * 10_000, [], {}, [[]], {"": None}, {"task": "text_regression"}, ["a"] * 1000),
)
BYTES = (b"\xff" * 9, b"\x12", b"\x0a\x00", b"\0" * 64, b"\xff\xff\xff\xff\x7f", b"[", b'{"a":')


def seconds():
    return 60 * float(os.environ.get("TFFT_FUZZ_MINUTES", "10"))


def mutated(content, rng):
    """Returns bytes with a few changes."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        place = rng.randrange(len(found) + 1)
        kind = rng.randrange(6)
        if kind == 0 and place < len(found):
            found[place] ^= 1 << rng.randrange(8)
        elif kind == 1 and place < len(found):
            found[place] = rng.randrange(256)
        elif kind == 2:
            del found[place : place + rng.choice((1, 2, 30, 5000))]
        elif kind == 3:
            found[place:place] = rng.choice(BYTES)
        elif kind == 4:
            begin = rng.randrange(len(found) + 1)
            found[place:place] = found[begin : begin + rng.choice((1, 20, 3000))]
        else:
            del found[place:]
    return bytes(found)


def changed(value, rng):
    """Returns a JSON value with one part replaced, removed or doubled."""
    value = copy.deepcopy(value)
    while True:
        keys = list(value) if isinstance(value, dict) else range(len(value))
        if not keys:
            return value
        root, parent = value, value
        key = rng.choice(list(keys))
        while isinstance(parent[key], dict | list) and parent[key] and rng.random() < 0.7:
            parent = parent[key]
            key = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
        if rng.random() < 0.2:
            del parent[key]
        elif rng.random() < 0.2 and isinstance(parent, dict):
            parent[rng.choice(("x", "task", "labels", "inputs"))] = parent[key]
        else:
            parent[key] = rng.choice(ODD)
        return root


@pytest.fixture(scope="module")
def version(finished_run, tmp_path_factory):
    """A copy of an export."""
    target = tmp_path_factory.mktemp("fuzz") / "1"
    shutil.copytree(finished_run(reviews) / "out/export/1", target)
    return target


def read(version):
    """Reads all that tfft.json is read for before a model is loaded."""
    exported.described(str(version))
    manifest.verify(version, manifest.read(version))


def fuzz(one):
    """Calls a function with new random numbers until the time is over; returns the counts."""
    began, tried, refused = time.process_time(), 0, 0
    while time.process_time() - began < seconds() / 3:
        rng = random.Random(tried)
        tried += 1
        try:
            one(rng)
        except UserError as error:
            assert str(error)
            refused += 1
    return tried, refused


@pytest.mark.extras
@pytest.mark.parametrize("kind", ["bytes of tfft.json", "values of tfft.json", "saved_model.pb"])
def test_readers_of_exports(version, kind):
    card, model = version / manifest.NAME, version / manifest.MODEL
    content, graph = card.read_bytes(), model.read_bytes()
    plain = {k: v for k, v in json.loads(content).items() if k != "integrity"}

    def one(rng):
        if kind == "bytes of tfft.json":
            card.write_bytes(mutated(content, rng))
            read(version)
        elif kind == "values of tfft.json":
            value = changed(plain, rng)
            for _ in range(rng.choice((0, 0, 1, 3))):
                value = changed(value, rng)
            card.write_text(json.dumps(_sealed(value), ensure_ascii=True))
            read(version)
        else:
            model.write_bytes(mutated(graph, rng))
            operations.refuse_foreign(model)

    try:
        read(version)
        operations.refuse_foreign(model)
        tried, refused = fuzz(one)
    finally:
        card.write_bytes(content)
        model.write_bytes(graph)
    print(f"{kind}: {tried:,} tried, {refused:,} refused")
    assert 0 < refused <= tried


def _sealed(value):
    try:
        return seal(value, None)
    except ValueError:  # NaN, which no checksum is of
        return value
