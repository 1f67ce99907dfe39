"""Small folders of weights, which tests damage."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "reference"))

import transformers_folders as layouts

from tfft import backbones
from tfft.backbones.text.tiny import hub_tokenizer

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def transformers_folder(folder):
    """Writes BERT in Transformers' layout."""
    layouts.write(folder, "bert")
    words = [*TOKENS, *(f"w{i}" for i in range(layouts.WORDS - len(TOKENS)))]
    (folder / "vocab.txt").write_text("\n".join(words))
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    return folder


def hub_folder(folder):
    """Writes BERT in KerasHub's layout."""
    folder.mkdir()
    backbones.tiny("bert").model.save_to_preset(str(folder))
    hub_tokenizer("bert").save_to_preset(str(folder))
    return folder


def load(folder):
    return backbones.keras_hub(str(folder), sequence_length=16).depth


def tokenizer_json(**changes):
    """Returns the tokenizer.json of a WordPiece model."""
    words = [*TOKENS, *(f"w{i}" for i in range(layouts.WORDS - len(TOKENS)))]
    content = {
        "model": {"type": "WordPiece", "vocab": {word: i for i, word in enumerate(words)}},
        "normalizer": {"type": "BertNormalizer"},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
    }
    return json.dumps({**content, **changes})
