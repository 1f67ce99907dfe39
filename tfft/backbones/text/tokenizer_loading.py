"""The preprocessor of a backbone: from KerasHub's tokenizers and from model folders."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras_hub

from tfft.backbones.model_folders import read_json, read_text
from tfft.backbones.text.decoder_architectures import Generator
from tfft.backbones.text.encoder_architectures import Architecture
from tfft.errors import WeightsError
from tfft.preprocessing.text.prompts import SourcePreprocessor
from tfft.preprocessing.text.subword_tokenizer import HubTokenizer
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor
from tfft.preprocessing.text.wordpiece import WordPiece, WordPieceSettings


def from_hub(architecture: Architecture, tokenizer: Any, length: int) -> TextPreprocessor:
    """Returns the preprocessor for a KerasHub tokenizer.

    WordPiece goes through our own, with the rules that the published weights were trained with:
    KerasHub's keeps accents when it lower-cases, and theirs did not.
    """
    if isinstance(architecture, Generator) and architecture.sides is not None:
        begins = architecture.sides.begins(tokenizer)
        settings = _ids(tokenizer, length, architecture.sides.starts)
        return SourcePreprocessor(HubTokenizer(tokenizer), begins=begins, **settings)
    if architecture.word_piece and not isinstance(
        tokenizer, keras_hub.tokenizers.SentencePieceTokenizer
    ):
        vocabulary = {token: i for i, token in enumerate(tokenizer.get_vocabulary())}
        strip = getattr(tokenizer, "strip_accents", False) or None
        rules = WordPieceSettings(lowercase=bool(tokenizer.lowercase), strip_accents=strip)
        return _word_piece(vocabulary, rules, length, _pairs(architecture))
    return _hub(tokenizer, length, _pairs(architecture))


def _ids(tokenizer: Any, length: int, starts: bool = True) -> dict[str, Any]:
    """Returns the ids of special tokens, with the length, as arguments of a preprocessor."""
    ids = {"end_id": tokenizer.end_token_id, "pad_id": tokenizer.pad_token_id}
    start_id = tokenizer.start_token_id if starts else None
    return {"start_id": start_id, **ids, "sequence_length": length}


def _pairs(architecture: Architecture) -> dict[str, bool]:
    """Returns how two texts are joined."""
    return {"double_end": architecture.double_end, "segments": architecture.segments}


def from_folder(
    folder: pathlib.Path, architecture: Architecture, length: int
) -> tuple[TextPreprocessor, int]:
    """Returns the preprocessor of a folder in Transformers' layout, and its vocabulary's size.

    Raises:
      WeightsError: a file is missing, or says something that is not supported.
    """
    path = folder / "tokenizer_config.json"
    options = read_json(path) if path.exists() else {}
    pairs = _pairs(architecture)
    if "XLMRoberta" in str(options.get("tokenizer_class")):
        tokenizer: Any = _sentence_piece(folder, keras_hub.models.XLMRobertaTokenizer)
        pairs = {"double_end": True, "segments": False}  # whatever backbone reads it
    elif architecture.word_piece:
        vocabulary, settings = _word_piece_parts(folder, options)
        return _word_piece(vocabulary, settings, length, pairs), len(vocabulary)
    elif architecture.name == "roberta":
        tokenizer = _byte_pairs(folder, options)
    else:
        tokenizer = _sentence_piece(folder, architecture.tokenizer)
    rules: tuple[bool, ...] = ()
    if architecture.name == "albert":
        accents, lowercase = options.get("keep_accents", False), options.get("do_lower_case", True)
        rules = (not accents, lowercase)
    return _hub(tokenizer, length, pairs, *rules), tokenizer.vocabulary_size()


def _word_piece(
    vocabulary: Mapping[str, int],
    settings: WordPieceSettings,
    length: int,
    pairs: Mapping[str, bool],
) -> TextPreprocessor:
    names = {"start_id": "[CLS]", "end_id": "[SEP]", "pad_id": "[PAD]"}
    missing = [name for name in names.values() if name not in vocabulary]
    if missing:
        raise WeightsError(f"the vocabulary lacks {', '.join(missing)}.")
    ids: dict[str, Any] = {key: vocabulary[name] for key, name in names.items()}
    return TextPreprocessor(WordPiece(vocabulary, settings), **ids, sequence_length=length, **pairs)


def _hub(
    tokenizer: Any,
    length: int,
    pairs: Mapping[str, bool],
    fold: bool = False,
    lowercase: bool = False,
) -> TextPreprocessor:
    words = HubTokenizer(tokenizer, fold, lowercase)
    return TextPreprocessor(words, **_ids(tokenizer, length), **pairs)


def _word_piece_parts(
    folder: pathlib.Path, options: Mapping[str, Any]
) -> tuple[dict[str, int], WordPieceSettings]:
    """Reads tokenizer.json where there is one, else vocab.txt and tokenizer_config.json."""
    if (folder / "tokenizer.json").exists():
        return _from_tokenizer_json(folder / "tokenizer.json")
    path = folder / "vocab.txt"
    if not path.exists():
        raise WeightsError(
            f"{folder} holds no vocabulary.",
            valid="tokenizer.json, or vocab.txt beside config.json",
        )
    if "do_lower_case" not in options:
        raise WeightsError(
            f"{folder} does not say whether its vocabulary is lower-cased.",
            valid='tokenizer_config.json with {"do_lower_case": true} or false',
        )
    # Not splitlines: a token may be one of the other line separators of Unicode.
    tokens = read_text(path).replace("\r\n", "\n").removesuffix("\n").split("\n")
    settings = WordPieceSettings(
        lowercase=bool(options["do_lower_case"]),
        strip_accents=options.get("strip_accents"),
        ideographs=bool(options.get("tokenize_chinese_chars", True)),
    )
    return {token: i for i, token in enumerate(tokens)}, settings


def _from_tokenizer_json(path: pathlib.Path) -> tuple[dict[str, int], WordPieceSettings]:
    content = read_json(path)
    model, rules = content.get("model") or {}, content.get("normalizer") or {}
    before = (content.get("pre_tokenizer") or {}).get("type")
    kinds = (model.get("type", "WordPiece"), rules.get("type"), before)
    if kinds != ("WordPiece", "BertNormalizer", "BertPreTokenizer"):
        raise WeightsError(
            f"{path} tokenises by other rules than BERT's: {kinds}.",
            valid="a WordPiece model with BertNormalizer and BertPreTokenizer",
        )
    settings = WordPieceSettings(
        lowercase=bool(rules.get("lowercase", True)),
        strip_accents=rules.get("strip_accents"),
        ideographs=bool(rules.get("handle_chinese_chars", True)),
        clean=bool(rules.get("clean_text", True)),
        unknown=model.get("unk_token", "[UNK]"),
        prefix=model.get("continuing_subword_prefix", "##"),
    )
    return dict(model["vocab"]), settings


def _byte_pairs(folder: pathlib.Path, options: Mapping[str, Any]) -> Any:
    """Reads vocab.json and merges.txt, or the same out of tokenizer.json."""
    if (folder / "vocab.json").exists() and (folder / "merges.txt").exists():
        vocabulary = read_json(folder / "vocab.json")
        lines = read_text(folder / "merges.txt").split("\n")
        merges = [line for line in lines if line and not line.startswith("#version")]
    elif (folder / "tokenizer.json").exists():
        model = read_json(folder / "tokenizer.json")["model"]
        vocabulary = dict(model["vocab"])
        merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    else:
        raise WeightsError(
            f"{folder} holds no vocabulary.", valid="vocab.json and merges.txt, or tokenizer.json"
        )
    space = bool(options.get("add_prefix_space", False))
    try:
        return keras_hub.models.RobertaTokenizer(vocabulary, merges, add_prefix_space=space)
    except ValueError as error:
        raise WeightsError(
            f"the vocabulary in {folder} does not fit its merges: {error}"
        ) from error


def _sentence_piece(folder: pathlib.Path, tokenizer: type) -> Any:
    names = ("sentencepiece.bpe.model", "spiece.model", "spm.model")
    for name in names:
        if (folder / name).exists():
            try:
                return tokenizer((folder / name).read_bytes())
            except (RuntimeError, ValueError) as error:
                raise WeightsError(f"{folder / name} is no SentencePiece model: {error}") from error
    raise WeightsError(f"{folder} holds no vocabulary.", valid=f"one of {', '.join(names)}")


def hub_folder_tokenizer(folder: pathlib.Path) -> Any:
    """Returns the tokenizer of a folder in KerasHub's layout.

    Raises:
      WeightsError: it has none, or it cannot be read.
    """
    if not (folder / "tokenizer.json").exists():
        raise WeightsError(
            f"{folder} holds a KerasHub model without its tokenizer.",
            valid="tokenizer.json and assets/tokenizer, as tokenizer.save_to_preset writes them",
        )
    try:
        return keras_hub.tokenizers.Tokenizer.from_preset(str(folder))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise WeightsError(f"the tokenizer in {folder} cannot be read: {error}") from error
