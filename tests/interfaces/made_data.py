"""Small made examples of several modalities: colored squares, words for them, tones."""

import numpy as np

COLORS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 230)}
SIZE = 24  # pixels of a picture


def picture(rng, color, box=None):
    """Returns a picture with a colored square, uint8 [h w 3], and its box [x y right below]."""
    pixels = rng.integers(0, 60, (SIZE, SIZE, 3)).astype(np.uint8)
    if box is None:
        side = int(rng.integers(8, 13))
        left, top = (int(each) for each in rng.integers(0, SIZE - side, 2))
        box = (left, top, left + side, top + side)
    left, top, right, below = box
    pixels[top:below, left:right] = COLORS[color]
    return pixels, box


def tone(rng, word, rate=8000):
    """Returns the samples of a word of the letters a, b and c, a tone each, float32 [t]."""
    pitches, parts = {"a": 400, "b": 900, "c": 1800}, []
    for letter in word:
        length = int(rng.integers(800, 1300))
        parts.append(np.sin(2 * np.pi * pitches[letter] * np.arange(length) / rate))
    return (0.5 * np.concatenate(parts)).astype(np.float32)
