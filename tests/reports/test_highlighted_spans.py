"""Spans within a text: pieces of one kind, by hand."""

from tfft.reports.highlighted_spans import pieces


def told(text, truth, predicted):
    found = pieces(text, {"truth": truth, "predicted": predicted})
    assert "".join(piece["text"] for piece in found) == text
    return [tuple(piece.values()) for piece in found]


def test_pieces_are_right_missed_or_wrong():
    text = "Ada met Bob and Cy in Rome"
    truth = [(0, 3, "person"), (8, 11, "person"), (22, 26, "place")]
    predicted = [(0, 3, "person"), (16, 18, "person"), (22, 26, "person")]
    assert told(text, truth, predicted) == [
        ("Ada", "right", "person"),
        (" met ", "", ""),
        ("Bob", "missed", "missed: person"),
        (" and ", "", ""),
        ("Cy", "wrong", "taken for person"),
        (" in ", "", ""),
        ("Rome", "wrong", "place taken for person"),
    ]


def test_a_span_that_is_found_in_part_is_right_in_part():
    assert told("New York", [(0, 8, "place")], [(4, 8, "place")]) == [
        ("New ", "missed", "missed: place"),
        ("York", "right", "place"),
    ]


def test_what_is_behind_a_cut_is_left_out():
    assert told("Ada met B", [(8, 11, "person"), (20, 23, "person")], []) == [
        ("Ada met ", "", ""),
        ("B", "missed", "missed: person"),
    ]
    assert told("plain", [], []) == [("plain", "", "")]
