"""Damages valid files at random, and runs readers on them for some minutes."""

import os
import struct
import tempfile
import time

import hypothesis
from hostile_children import call
from hypothesis import strategies as st

from tfft.errors import UserError

MINUTES = float(os.environ.get("TFFT_FUZZ_MINUTES", "10"))
LIMIT = 20  # seconds of a reader: the machine may be busy
NUMBERS = (0, 1, -1, 127, 255, 2**15, 2**31 - 1, -(2**31), 2**31, 2**32 - 1, 10**9, 2**62, -(2**63))
CALM = hypothesis.settings(  # a failure is not made smaller
    max_examples=100,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
    phases=[hypothesis.Phase.generate],
)
PIECES = (
    *(b"\0", b"\xff", b"\n", b"\r", b'"', b'""', b",", b"\t", b"[", b"]", b"{", b"}", b":", b"\\"),
    *(
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b"-0",
        b"1" * 30,
        b"\\ud800",
        b"\xed\xa0\x80",
        b"\xf0\x9f",
    ),
    *(b"[" * 200, b'{"a":' * 200, b"\xef\xbb\xbf", b"PAR1", b"ARROW1", b"text", b"label"),
)


def _number(value, size):
    return struct.pack(
        f"<{'iq'[size == 8]}", max(-(2 ** (8 * size - 1)), min(value, 2 ** (8 * size - 1) - 1))
    )


@st.composite
def damaged(draw, contents):
    """Draws one of some contents with a few damages."""
    content = bytearray(draw(st.sampled_from(contents)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.integers(0, 6))
        if kind == 0:
            content[place : place + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == 1:
            size = draw(st.sampled_from([4, 8]))
            place -= place % 4 * draw(st.booleans())
            content[place : place + size] = _number(draw(st.sampled_from(NUMBERS)), size)
        elif kind == 2:
            content[place:place] = draw(st.sampled_from(PIECES))
        elif kind == 3:
            del content[place : place + draw(st.integers(1, 64))]
        elif kind == 4:
            del content[place:]
        elif kind == 5:
            begin = draw(st.integers(0, max(0, len(content) - 1)))
            content[place:place] = content[begin : begin + draw(st.integers(1, 200))]
        else:
            content[place : place + 4] = draw(st.binary(max_size=8))
    return bytes(content)


def fuzz(read, *strategies):
    """Calls a reader in a child process until `TFFT_FUZZ_MINUTES` of CPU are used, 10 by default.

    Args:
      read: Gets a value of each strategy; may raise a UserError and nothing else.
    """
    with tempfile.TemporaryFile() as latest:

        def check(values):
            os.pwrite(latest.fileno(), repr(values).encode() + b"\n", 0)
            start = time.process_time()
            try:
                read(*values)
            except UserError as error:
                assert str(error)
            assert time.process_time() - start <= LIMIT

        def loop():
            number, end = 0, time.process_time() + 60 * MINUTES
            while time.process_time() < end:
                CALM(hypothesis.seed(number)(hypothesis.given(st.tuples(*strategies))(check)))()
                number += 1
            return number

        outcome = call(loop, patience=60 * 60 * MINUTES)
        latest.seek(0)
        assert outcome.kind == "value", (outcome, latest.readline()[:5000])
        assert outcome.mebibytes <= 500, outcome
