"""WordPiece as BERT, DistilBERT and ELECTRA were trained with it.

A text is cleaned, decomposed and lower-cased by regular expressions, cut into words, and each word
into pieces by tensorflow-text's FastWordpieceTokenizer. The judge of every step is the `tokenizers`
package, which wrote the `tokenizer.json` of published models: its Unicode tables are older than
TensorFlow's for marks, punctuation and ideographs, and `UNKNOWN_TO_JUDGE` lists the difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tensorflow_text

from tfft.errors import WeightsError
from tfft.preprocessing.fingerprints import digest
from tfft.preprocessing.text.offsets import Characters, Origins, Ragged, bind, counted, unbind
from tfft.preprocessing.text.subword_tokenizer import Subwords, lower

# White space other than " "; a match of every plain space would cost ten times the time.
SPACES = r"\t\n\r\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}"
CONTROLS = r"\p{Cc}\p{Cf}\p{Co}\x{FFFD}"
# Since the judge's tables were made, U+1734 is a mark no longer, U+166D no punctuation, and U+111C9
# has become a mark from punctuation.
MARKS = r"[^\P{Mn}\x{111C9}]|\x{1734}"
PUNCTUATION = r"\p{P}$+<=>^`|~\x{166D}\x{111C9}"
IDEOGRAPHS = (
    r"\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B920}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}"
)
HAN = r"\x{4E00}-\x{9FFF}"  # ideographs that no normalization changes
MAX_CHARACTERS = 100
# ASCII without controls, and without the bracket and angle that special tokens begin with.
PLAIN = r"[\t\n\r -;=-Z\\-~]*"
# Characters that TensorFlow's tables call a mark, a format sign, punctuation or decomposable, and
# the judge's tables do not (they are letters of no known kind to it). No vocabulary holds them, so
# their word is unknown; they are replaced by a letter that is in no vocabulary entry either.
# Made by comparing both for every code point; tests/preprocessing/test_wordpiece.py does it again.
UNKNOWN_TO_JUDGE = (
    r"\x{61D}\x{7FD}\x{890}-\x{891}\x{898}-\x{89F}\x{8CA}-\x{8E2}\x{9FD}-\x{9FE}\x{A76}"
    r"\x{AFA}-\x{AFF}\x{B55}\x{C04}\x{C3C}\x{C77}\x{C84}\x{D00}\x{D3B}-\x{D3C}\x{D81}\x{EBA}"
    r"\x{ECE}\x{180F}\x{1885}-\x{1886}\x{1ABF}-\x{1ACE}\x{1B4E}-\x{1B4F}\x{1B7D}-\x{1B7F}"
    r"\x{1DF6}-\x{1DFB}\x{2E43}-\x{2E4F}\x{2E52}-\x{2E5D}\x{A82C}\x{A8C5}\x{A8FF}\x{A9BD}"
    r"\x{105C9}\x{105E4}\x{10D24}-\x{10D27}\x{10D6E}\x{10EAB}-\x{10EAD}\x{10EFD}-\x{10EFF}"
    r"\x{10F46}-\x{10F50}\x{10F55}-\x{10F59}\x{10F82}-\x{10F89}\x{11070}\x{11073}-\x{11074}"
    r"\x{110C2}\x{110CD}\x{111CF}\x{1123E}\x{11241}\x{1133B}\x{11383}\x{11385}"
    r"\x{1138E}\x{11391}\x{113C5}\x{113C7}-\x{113C8}\x{113D4}-\x{113D5}\x{113D7}-\x{113D8}"
    r"\x{11438}-\x{1143F}\x{11442}-\x{11444}\x{11446}\x{1144B}-\x{1144F}\x{1145A}-\x{1145B}"
    r"\x{1145D}-\x{1145E}\x{11660}-\x{1166C}\x{116B9}\x{1182F}-\x{11837}\x{11839}-\x{1183B}"
    r"\x{11938}\x{1193B}-\x{1193C}\x{1193E}\x{11943}-\x{11946}\x{119D4}-\x{119D7}"
    r"\x{119DA}-\x{119DB}\x{119E0}\x{119E2}\x{11A01}-\x{11A0A}\x{11A33}-\x{11A38}"
    r"\x{11A3B}-\x{11A47}\x{11A51}-\x{11A56}\x{11A59}-\x{11A5B}\x{11A8A}-\x{11A96}"
    r"\x{11A98}-\x{11A9C}\x{11A9E}-\x{11AA2}\x{11B00}-\x{11B09}\x{11BE1}\x{11C30}-\x{11C36}"
    r"\x{11C38}-\x{11C3D}\x{11C3F}\x{11C41}-\x{11C45}\x{11C70}-\x{11C71}\x{11C92}-\x{11CA7}"
    r"\x{11CAA}-\x{11CB0}\x{11CB2}-\x{11CB3}\x{11CB5}-\x{11CB6}\x{11D31}-\x{11D36}\x{11D3A}"
    r"\x{11D3C}-\x{11D3D}\x{11D3F}-\x{11D45}\x{11D47}\x{11D90}-\x{11D91}\x{11D95}\x{11D97}"
    r"\x{11EF3}-\x{11EF4}\x{11EF7}-\x{11EF8}\x{11F00}-\x{11F01}\x{11F36}-\x{11F3A}\x{11F40}"
    r"\x{11F42}-\x{11F4F}\x{11FFF}\x{12FF1}-\x{12FF2}\x{13430}-\x{13440}\x{13447}-\x{13455}"
    r"\x{16121}-\x{16128}\x{16D68}-\x{16D6A}\x{16D6D}-\x{16D6F}\x{16E97}-\x{16E9A}\x{16F4F}"
    r"\x{16FE2}\x{16FE4}\x{1CF00}-\x{1CF2D}\x{1CF30}-\x{1CF46}\x{1E000}-\x{1E006}"
    r"\x{1E008}-\x{1E018}\x{1E01B}-\x{1E021}\x{1E023}-\x{1E024}\x{1E026}-\x{1E02A}\x{1E08F}"
    r"\x{1E130}-\x{1E136}\x{1E2AE}\x{1E2EC}-\x{1E2EF}\x{1E4EC}-\x{1E4EF}\x{1E5FF}"
    r"\x{1E944}-\x{1E94A}\x{1E95E}-\x{1E95F}"
)

Cut = Callable[[tf.Tensor], Ragged]  # from texts [b] to tokens, int32 [b (t) ...]


@dataclasses.dataclass(frozen=True)
class WordPieceSettings:
    """The settings of a folder's tokenizer.

    Attributes:
      lowercase: lower-case the text.
      strip_accents: remove marks; None: when lower-casing.
      ideographs: make every CJK ideograph a word.
      clean: remove control characters.
      unknown: the token of words that cannot be composed.
      prefix: what marks a piece that continues a word.
    """

    lowercase: bool = True
    strip_accents: bool | None = None
    ideographs: bool = True
    clean: bool = True
    unknown: str = "[UNK]"
    prefix: str = "##"


class WordPiece(Subwords):
    """Words into pieces, in the graph.

    Args:
      vocabulary: token to id.
      settings: how the text is prepared.
      special: tokens that a raw text may spell out, such as "[SEP]".

    Raises:
      WeightsError: the unknown token is not in the vocabulary, or ids are not 0, 1, 2, ...
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        settings: WordPieceSettings | None = None,
        special: Iterable[str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    ):
        super().__init__(name="word_piece")
        # A dict on a tf.Module would be wrapped and written into every SavedModel.
        self._settings = settings or WordPieceSettings()
        tokens = _in_order(vocabulary, self._settings.unknown)
        self._digest = digest("\n".join(tokens).encode())
        present = sorted((t for t in special if t in vocabulary), key=len, reverse=True)
        letters = _unused_letters(tokens, len(present) + 1)
        self._blank, self._letters = letters[0], tuple(letters[1:])
        self._special = tuple(present)
        self._mask_id = vocabulary.get("[MASK]")
        self.names = lambda: tuple(tokens)  # what each id stands for; a tuple would be tracked
        ids = [*range(len(tokens)), *(vocabulary[token] for token in present)]
        self._order = tf.constant(ids, tf.int32)
        self._unknown = vocabulary[self._settings.unknown]
        widths = [*(0 for _ in tokens), *(len(token) - 1 for token in present)]
        self._widths = tf.constant(widths, tf.int32)
        shared = {
            "suffix_indicator": self._settings.prefix,
            "token_out_type": tf.int32,
            "unknown_token": self._settings.unknown,
        }
        self._pieces = tensorflow_text.FastWordpieceTokenizer(
            vocab=[*tokens, *self._letters],
            # In bytes; the judge counts characters, of at most four bytes, see `_words`.
            max_bytes_per_word=4 * MAX_CHARACTERS,
            no_pretokenization=True,
            **shared,
        )
        self._plain = tensorflow_text.FastWordpieceTokenizer(
            vocab=tokens, max_bytes_per_word=MAX_CHARACTERS, **shared
        )

    @property
    def boundary(self) -> str | None:
        """A text with white space, or two ideographs, at which it may be cut, see `served_texts`.

        What stands before is read alike whatever follows: words end there, and no mark that
        follows belongs to it.
        """
        if any(set(token) & set(" \t\n\r") for token in self._special):
            return None
        words = rf"(?:(\C*)[ \t\n\r]|(\C*[{HAN}])[{HAN}])\C*"
        return words if self._settings.ideographs else r"(\C*)()[ \t\n\r]\C*"

    def mask_id(self) -> int | None:
        """Returns the id that stands for a hidden token, if there is one."""
        return self._mask_id

    @tf.function(autograph=False)
    def _ids(self, texts):
        """Texts in ASCII, where all rules agree, are tokenised in one step."""
        return self._by_kind(texts, self._ascii, self._exact)

    @tf.function(autograph=False)
    def _ids_with_offsets(self, texts):
        """Removed marks belong to a token only between its characters, as with the judge."""
        return unbind(self._by_kind(texts, self._ascii_spans, self._exact_spans))

    def _by_kind(self, texts: tf.Tensor, ascii: Cut, exact: Cut) -> Ragged:
        """Gives plain texts to one function and the others to the other, in the old order."""
        plain = tf.strings.regex_full_match(texts, PLAIN)

        def mixed() -> Ragged:
            one, two = tf.where(plain)[:, 0], tf.where(~plain)[:, 0]
            parts = tf.concat([ascii(tf.gather(texts, one)), exact(tf.gather(texts, two))], axis=0)
            places = tf.cast(tf.concat([one, two], axis=0), tf.int32)
            return tf.gather(parts, tf.math.invert_permutation(places))

        return tf.cond(tf.reduce_all(plain), lambda: ascii(texts), mixed)

    def _ascii(self, texts: tf.Tensor) -> Ragged:
        """In ASCII, lower-casing bytes is all that FastBertTokenizer's normalisation would do."""
        return self._plain.tokenize(self._lower_bytes(texts))

    def _ascii_spans(self, texts: tf.Tensor) -> Ragged:
        """In ASCII, a byte is a character: int32 [b (t) 3]."""
        return bind(*self._plain.tokenize_with_offsets(self._lower_bytes(texts)))

    def _lower_bytes(self, texts: tf.Tensor) -> tf.Tensor:
        return tf.strings.lower(texts) if self._settings.lowercase else texts

    def _exact(self, texts: tf.Tensor) -> Ragged:
        """Does what `ids` does, by the rules for any text."""
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
        words = self._words(self._prepare(self._protect(texts)))
        pieces = self._pieces.tokenize(self._cut_long(words.values))
        pieces = words.with_values(pieces).merge_dims(1, 2)
        return pieces.with_values(tf.gather(self._order, pieces.values))

    def _exact_spans(self, texts: tf.Tensor) -> Ragged:
        """Does what `ids_with_offsets` does, by the rules for any text: int32 [b (t) 3]."""
        texts = self._protect(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8"))
        words = self._words(self._prepare(texts))
        pieces, starts, ends = self._pieces.tokenize_with_offsets(self._cut_long(words.values))
        # An unknown word is one token, however short what stood for it was.
        whole = tf.gather(tf.strings.length(words.values), pieces.value_rowids())
        right = tf.where(pieces.values == self._unknown, whole, tf.cast(ends.values, tf.int32))
        characters = Characters(words.values)
        starts, ends = characters.spans(starts, ends.with_values(right))
        pieces, starts, ends = (
            words.with_values(each).merge_dims(1, 2) for each in (pieces, starts, ends)
        )
        first = tf.gather(counted(characters.lengths), words.row_starts())
        starts, ends = Origins(texts, self._prepare).spans(characters.codes, first, starts, ends)
        ends += pieces.with_values(tf.gather(self._widths, pieces.values))
        return bind(pieces.with_values(tf.gather(self._order, pieces.values)), starts, ends)

    def settings(self) -> dict[str, Any]:
        """Returns what fixes every id."""
        own = {"vocabulary": self._digest, "special": list(self._special)}
        return {**own, **dataclasses.asdict(self._settings)}

    def _protect(self, texts: tf.Tensor) -> tf.Tensor:
        """Puts a letter of its own for each special token that the raw text spells out."""
        reserved = UNKNOWN_TO_JUDGE + "".join(self._letters)
        texts = tf.strings.regex_replace(texts, f"[{reserved}]", self._blank)
        if not self._special:
            return texts
        alternatives = "|".join(_escape(token) for token in self._special)
        spelled = tf.strings.regex_full_match(texts, f"(?s).*({alternatives}).*")
        return tf.cond(tf.reduce_any(spelled), lambda: self._replace(texts), lambda: texts)

    def _replace(self, texts: tf.Tensor) -> tf.Tensor:
        """Spaces fill up what a letter is shorter than its token; `_words` cuts around letters."""
        for token, letter in zip(self._special, self._letters, strict=True):
            texts = tf.strings.regex_replace(texts, _escape(token), letter.ljust(len(token)))
        return texts

    def _prepare(self, texts: tf.Tensor) -> tf.Tensor:
        """Cleans, decomposes and lower-cases."""
        replace, settings = tf.strings.regex_replace, self._settings
        if settings.clean:
            texts = replace(replace(texts, f"[{SPACES}]+", " "), f"[{CONTROLS}]+", "")
        else:
            texts = replace(texts, rf"[{SPACES}\x0B\x0C\x{{85}}]+", " ")
            # `tf.strings.lower` ends at a NUL, whose word is unknown anyway.
            texts = replace(texts, r"\x00", self._blank)
        strip = settings.lowercase if settings.strip_accents is None else settings.strip_accents
        if strip:
            texts = replace(tensorflow_text.normalize_utf8(texts, "NFD"), f"({MARKS})+", "")
        return lower(texts, marks=not strip) if settings.lowercase else texts

    def _words(self, texts: tf.Tensor) -> Ragged:
        """Cuts at spaces, around punctuation and around letters of special tokens."""
        alone = PUNCTUATION + (IDEOGRAPHS if self._settings.ideographs else "")
        alone += "".join(self._letters)
        words = tf.strings.split(tf.strings.regex_replace(texts, f"[{alone}]", r" \0 "), " ")
        return tf.ragged.boolean_mask(words, words != "")

    def _cut_long(self, words: tf.Tensor) -> tf.Tensor:
        """Makes a word that is too long an unknown one."""
        long = tf.strings.length(words, unit="UTF8_CHAR") > MAX_CHARACTERS
        return tf.where(long, self._blank, words)


def _in_order(vocabulary: Mapping[str, int], unknown: str) -> list[str]:
    tokens = sorted(vocabulary, key=lambda token: vocabulary[token])
    if [vocabulary[token] for token in tokens] != list(range(len(tokens))):
        raise WeightsError(
            f"the vocabulary's {len(tokens)} ids are not 0 to {len(tokens) - 1}, each used once.",
            valid="a vocabulary file with one distinct token a line",
        )
    if unknown not in vocabulary:
        raise WeightsError(f"the vocabulary has no token {unknown!r} for unknown words.")
    return tokens


def _unused_letters(tokens: Sequence[str], count: int) -> list[str]:
    """Returns Yi syllables, letters without case or decomposition, that no token contains."""
    used = set("".join(tokens))
    return [chr(code) for code in range(0xA000, 0xA48D) if chr(code) not in used][:count]


def _escape(token: str) -> str:
    """Quotes a token for RE2, which takes every character between \\Q and \\E as it is."""
    return rf"\Q{token}\E"
