"""A question with its context in windows: as made by hand, in batches, and settings refused."""

import numpy as np
import pytest

from tfft.backbones.text.tiny import tiny
from tfft.data.encoded_split import encode
from tfft.data.encoded_towers import pack, unpack
from tfft.data.example_reader import ExampleReader
from tfft.data.length_buckets import Batch
from tfft.errors import ConfigError
from tfft.preprocessing.text.question_windows import PairWindows


def by_hand(ids, room, overlap, most):
    """Returns the windows of a context's tokens, and how many of them are read."""
    if len(ids) <= room:
        return [ids], len(ids)
    begins = [*range(0, len(ids) - room, room - overlap), len(ids) - room][:most]
    return [ids[begin : begin + room] for begin in begins], begins[-1] + room


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_windows_are_those_made_by_hand(kind):
    own = tiny(kind, sequence_length=24).preprocessor
    text = PairWindows(**own.settings(), first_length=4, overlap=3, most=4)
    questions = ["film", "is the film good", "is this one a good plot or", "film", "plot"]
    lengths = (3, 40, 30, 17, 100)
    contexts = [" ".join(["one"] * 2 + ["the"] * (n - 2)) for n in lengths]
    asked = [row[1:-1] for row in own.tokenize(questions).to_list()]
    whole = [row[1:-1] for row in own.tokenize(contexts).to_list()]
    double = own.double_end
    windows, counts, full, kept = text.windows(questions, contexts)
    rows = windows.to_list()
    for number, count in enumerate(counts.numpy()):
        found, rows = rows[:count], rows[count:]
        first = asked[number][:4]
        room = 24 - 3 - double - len(first)
        inner, read = by_hand(whole[number], room, 3, 4)
        ends = [own.end_id] * (1 + double)
        for row, wanted in zip(found, inner, strict=True):
            ids, starts, _, segments = zip(*row, strict=True)
            assert [*ids] == [own.start_id, *first, *ends, *wanted, own.end_id]
            behind = 1 + len(first) + len(ends)
            assert [*segments] == [0] * behind + [1] * (len(wanted) + 1)
            assert {*starts[:behind], starts[-1]} == {-1} and min(starts[behind:-1]) >= 0
        assert len({len(row) for row in found}) == 1 and (count == 1 or len(found[0]) == 24)
        assert full[number] == len(asked[number]) + len(whole[number]) + 3 + double
        assert kept[number] == len(first) + read + 3 + double


def test_a_split_is_stored_and_batched_as_it_is_served():
    text = PairWindows(**tiny(sequence_length=24).preprocessor.settings(), overlap=3, most=3)
    columns = ["who"] * 3, ["the 🎬 film is one", "the " * 60 + "one", "a plot"]
    tokens = encode([columns], text)
    batch = Batch(np.arange(3), int(tokens.sizes.max()))
    expected = text(*columns)
    for name, value in ExampleReader(tokens).batch(batch).items():
        assert np.array_equal(value, expected[name])
    again = unpack(pack(tokens), text)
    for name in ("starts", "ends"):
        found = again.extra[name].pad(np.arange(len(again.tokens.lengths)), 24, -1)
        there = expected["padding_mask"].numpy()[..., 0] > 0
        assert np.array_equal(found, expected[name].numpy()[there])
    assert expected["starts"][0, 0].numpy()[5:9].tolist() == [0, 4, 6, 11]
    assert text.fingerprint() != PairWindows(**text.settings(), overlap=4, most=3).fingerprint()


def test_settings_that_cannot_be_are_told():
    own = tiny(sequence_length=24).preprocessor.settings()
    for settings, message in [
        ({"first_length": 21}, "question_length=21"),
        ({"first_length": 0}, "question_length=0"),
        ({"first_length": 10, "overlap": 11}, "overlap=11"),
    ]:
        with pytest.raises(ConfigError, match=message):
            PairWindows(**own, **settings)
    assert PairWindows(**own).first_length == 8 and PairWindows(**own).overlap == 6
    longer = tiny(sequence_length=256).preprocessor.settings()
    assert PairWindows(**longer).first_length == 64 and PairWindows(**longer).overlap == 64
