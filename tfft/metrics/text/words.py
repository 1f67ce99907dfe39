"""Words of texts, as metrics and baselines compare them."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Thai to Tibetan, Burmese, Khmer, kana and Han: scripts that put no space between words.
UNSPACED = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_MARKS = re.escape('!"#$%&()*+,./:;<=>?@[]^_`{|}~…–—“”‘’«»¿¡।॥؟،؛。，、？！：；「」（）')
_WORDS = re.compile(f"{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern})[^\\s{_MARKS}])+")


def words(text: str) -> list[tuple[str, int, int]]:
    """Returns the words of a text in lower case, and the characters they begin and end before.

    Of scripts without spaces between words, a character is one.
    """
    return [(hit.group().lower(), *hit.span()) for hit in _WORDS.finditer(text)]


def is_unspaced(texts: Sequence[str]) -> bool:
    """Says whether most letters of the texts belong to scripts without spaces between words."""
    step = max(1, len(texts) // 1000)
    sample = "".join(text[:1000] for text in texts[::step])
    letters = sum(character.isalpha() for character in sample)
    return len(UNSPACED.findall(sample)) * 2 > letters > 0
