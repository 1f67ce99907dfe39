"""Texts that are hard to tokenise, and the `tokenizers` package as the judge of ids."""

from __future__ import annotations

import random

import tokenizers

EDGES = [
    "",
    " ",
    "\t\r\n",
    "Plain words, and punctuation!?",
    "don't -- it's $5.00 (50% off) #1 @home ~x~ a^b `c` |d| <e> =f= +g+",
    "Café, naïve, Ångström, ﬁne ﬂow, Ǆ, ŉ, ß, ẞ",
    "cafe\u0301 e\u0301\u0327 \u0301alone",
    "ΟΔΥΣΣΕΥΣ ὀδυσσεύς ΑΣ Σ σ ς ΑΣ. ΑΣΑ",
    "İstanbul Iğdır ıI",
    "中文字符和English混排, 日本語テキスト、한국어 텍스트",
    "豈 更 𠀀 𪜀 𫝀 𫠠 𬺠 〇 々 ㊀",
    "🙂 👍🏽 👨\u200d👩\u200d👧 🇩🇪 ☃\ufe0f a🙂b",
    "zero\u200bwidth soft\u00adhyphen bom\ufeff joiner\u2060 line\u2028para\u2029 nel\u0085x",
    "nul\x00 bell\x07 esc\x1b del\x7f tab\tvt\x0bff\x0c",
    "replacement \ufffd private \ue000 noncharacter \ufdd0",
    "no\u00a0break\u3000wide\u2003em\u1680ogham\u202fthin",
    "a" * 99,
    "a" * 100,
    "a" * 101,
    "é" * 100 + " " + "é" * 101,
    "𝔞" * 100 + " x " + "𝔞" * 101,
    "ab" * 60 + "-" + "ab" * 50 + "." + "c" * 200,
    "中" * 150,
    "[SEP] [CLS] [PAD] [MASK] [UNK]",
    "a[SEP]b [sep] [ SEP ] [[CLS]] [SEP][SEP] [S\u200bEP] [SE\u0301P]",
    "ꀀ ꀁ ꀂ aꀃ yi syllables ꀀꀁ",
    "##ing ##s # # ing ## [UNK]x",
    "हिन्दी ภาษาไทย العَرَبِيَّة עִבְרִית ქართული Հայերեն አማርኛ",
    "ᜀ᜔ ᜴ ᙭ ᙮ ⹋ ⸼",
    "x²³ ½ Ⅳ ℌ ™ ™x №5 …",
    "“quoted” ‘single’ –en —em «guillemets» ¿qué? ¡sí!",
]


def unicode_lines(count: int, seed: int, words: list[str]) -> list[str]:
    """Returns lines that mix words, all of Unicode, and the parts where rules differ."""
    draw = random.Random(seed)
    ranges = [
        (0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x590, 0x6FF),
        (0x900, 0xDFF), (0xE00, 0x10FF), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x2BFF),
        (0x3000, 0x33FF), (0x4E00, 0x9FFF), (0xA000, 0xABFF), (0xAC00, 0xD7A3), (0xF900, 0xFFFD),
        (0x10000, 0x1FFFF), (0x20000, 0x323AF), (0x0, 0x20), (0xE0000, 0xE01EF), (0x0, 0x10FFFF),
    ]  # fmt: skip

    def character() -> str:
        low, high = draw.choice(ranges)
        code = draw.randint(low, high)
        return chr(code) if not 0xD800 <= code < 0xE000 else " "

    def piece() -> str:
        kind = draw.random()
        if kind < 0.4:
            word = draw.choice(words)
            return draw.choice([word, word.upper(), word.title(), word + character()])
        if kind < 0.5:
            return draw.choice(["[SEP]", "[MASK]", "##", "…", "'s", "\u0301", "Σ", "ß"])
        return "".join(character() for _ in range(draw.choice([1, 1, 2, 3, 8, 40, 120])))

    return [
        "".join(piece() + draw.choice(["", " ", " "]) for _ in range(draw.randint(1, 7)))
        for _ in range(count)
    ]


def word_piece(vocabulary: dict[str, int], **normalizer: bool | None) -> tokenizers.Tokenizer:
    """Returns the judge for a vocabulary of our own."""
    model = tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100)
    judge = tokenizers.Tokenizer(model)
    judge.normalizer = tokenizers.normalizers.BertNormalizer(**normalizer)
    judge.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    special = [name for name in vocabulary if name[:1] == "[" and name[-1:] == "]" and name[1:-1]]
    judge.add_special_tokens(special)
    return judge


def differing(judge: tokenizers.Tokenizer, ids: list[list[int]], texts: list[str]) -> list[str]:
    """Returns the texts whose ids, without those at the ends, are not the judge's."""
    encoded = judge.encode_batch(texts, add_special_tokens=False)
    pairs = zip(texts, ids, encoded, strict=True)
    return [text for text, row, right in pairs if row != right.ids]
