"""Text from sounds of different lengths: an encoder of frames and a decoder that generates."""

import dataclasses

import keras
import keras_hub
import made_data
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.base import Backbone, Group
from tfft.backbones.image.image_backbone import draw_weights
from tfft.data.encoded_split import ragged
from tfft.data.inputs import Audio
from tfft.layers.inspection import inner
from tfft.layers.serialization import deserialize
from tfft.losses.next_token import NextTokenLoss
from tfft.metrics.text import error_rates
from tfft.preprocessing.media_files import content
from tfft.reports.console import Console
from tfft.tasks.backbone_output import BackboneOutput
from tfft.tasks.base import CustomPrediction, Task, TextGeneration
from tfft.tasks.evaluators.base import Evaluator, reported
from tfft.tasks.report_examples import shown_examples
from tfft.tasks.signatures.base import DEFAULT, ServingSignature
from tfft.tasks.targets.base import Answers
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

QUIET = Console(quiet=True)
BINS, LETTERS = 16, "abc"
PAD, BEGIN, END = 0, 1, 2  # ids; letters follow


class FramePreprocessor(tf.Module):
    """From WAV files to log energies of frames, float32 [b t bins], and from letters to ids."""

    windowed, reads, padded, inputs, pad_id = False, "frames", True, (), 0
    sequence_length, batch, begins, end_id = 64, 32, (BEGIN,), END

    @property
    def signature(self):
        return (
            tf.TensorSpec([None, None, BINS], tf.float32, name="frames"),
            tf.TensorSpec([None, None], tf.int32, name="padding_mask"),
            tf.TensorSpec([None, None], tf.int32, name="decoder_token_ids"),
            tf.TensorSpec([None, None], tf.int32, name="decoder_padding_mask"),
        )

    def rows(self, values):
        contents = tf.constant([content(each.decode()) for each in values.numpy()])
        frames = [self._frames(each) for each in contents]
        full = tf.constant([len(each) for each in frames], tf.int64)
        kept = [each[: self.sequence_length] for each in frames]
        lengths = tf.constant([len(each) for each in kept], tf.int64)
        return {"ids": tf.concat(kept, axis=0), "lengths": lengths, "full": full}

    def _frames(self, read):
        samples = tf.audio.decode_wav(read, desired_channels=1).audio[:, 0]
        energy = tf.abs(tf.signal.stft(samples, 256, 256, pad_end=True))[:, : BINS * 8]
        bands = tf.reduce_mean(tf.reshape(energy, [-1, BINS, 8]), axis=-1)
        return tf.math.log(bands + 1e-3)

    def __call__(self, contents):
        lengths = tf.map_fn(lambda each: tf.shape(self._frames(each))[0], contents, tf.int32)
        lengths = tf.minimum(lengths, self.sequence_length)
        longest = tf.reduce_max(lengths)

        def padded(each):
            frames = self._frames(each)[:longest]
            return tf.pad(frames, [[0, longest - tf.shape(frames)[0]], [0, 0]])

        frames = tf.map_fn(padded, contents, tf.float32)
        begun = tf.ones_like(lengths)[:, None]
        return {
            "frames": tf.ensure_shape(frames, [None, None, BINS]),
            "padding_mask": tf.sequence_mask(lengths, longest, tf.int32),
            "decoder_token_ids": begun * BEGIN,
            "decoder_padding_mask": begun,
        }

    def config(self):
        return {"bins": BINS, "sequence_length": self.sequence_length}

    def fingerprint(self):
        return str(self.config())


@keras.saving.register_keras_serializable("test")
class TinySpeech(Backbone):
    """Two layers that read frames and one that writes letters."""

    modality, beside = "audio", ("decoder_token_ids", "decoder_padding_mask")
    pools = False

    def __init__(self, dim=32):
        hub = keras_hub.layers
        self.frames = keras.layers.Dense(dim, name="frames")
        self.positions = hub.SinePositionEncoding(name="positions")
        self.tokens = hub.TokenAndPositionEmbedding(len(LETTERS) + 3, 16, dim, name="tokens")
        self.encoder = [
            hub.TransformerEncoder(2 * dim, 2, name=f"encoder_{number}") for number in range(2)
        ]
        self.decoder = hub.TransformerDecoder(2 * dim, 2, name="decoder")
        frames, ids = keras.Input((None, BINS)), keras.Input((None,), dtype="int32")
        hidden = self.frames(frames) + self.positions(self.frames(frames))
        for layer in self.encoder:
            hidden = layer(hidden)
        self.model = keras.Model([frames, ids], self.decoder(self.tokens(ids), hidden))
        draw_weights(self.model, 0)
        self.dim, self.depth, self.prefix = dim, 3, 2
        self.preprocessor = FramePreprocessor()
        self.name = self.preset = "tiny_speech"
        self.pooling = "none"
        self.groups = (
            Group("embeddings", (self.frames, self.positions)),
            *(Group(f"encoder_layer_{i}", (each,)) for i, each in enumerate(self.encoder)),
            Group("decoder_layer_0", (self.tokens, self.decoder)),
        )

    @property
    def prefix_depth(self):
        return self.prefix

    def _read_for(self, task):
        return self

    @property
    def reads(self):
        ids = dict.fromkeys(("padding_mask", *self.beside), ((None,), "int32"))
        return {"frames": ((None, BINS), "float32"), **ids}

    def shape_at(self, depth, pooled=False):
        return (None, self.dim)

    def embed(self, batch, training=None):
        hidden = self.frames(batch["frames"])
        return hidden + self.positions(hidden)

    def layers(self, first, hidden, padding_mask, modes, pooled_next=False, beside=None):
        for number, mode in enumerate(modes, first):
            if number < self.prefix:
                hidden = self.encoder[number](hidden, padding_mask=padding_mask, training=mode)
                continue
            ids, mask = (beside[name] for name in self.beside)
            hidden = self.decoder(
                self.tokens(ids),
                hidden,
                decoder_padding_mask=mask,
                encoder_padding_mask=padding_mask,
                training=mode,
            )
        return hidden

    def settings(self):
        return {"dim": self.dim}

    def describe_splits(self, splits):
        rows = [[split, str(int(each.filled.max()))] for split, each in splits.items()]
        return [("Sounds", ["split", "longest, in frames"], rows)], []

    def get_config(self):
        return {"dim": self.dim}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("test")
class Letters(keras.layers.Layer):
    """Logits of the next letter; keeps the backbone, with which answers are generated."""

    def __init__(self, backbone, **kwargs):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.dense = keras.layers.Dense(len(LETTERS) + 3, name="dense")

    def get_config(self):
        return {**super().get_config(), "backbone": self.backbone}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "backbone": deserialize(config["backbone"])})

    def build(self, shape):
        self.dense.build(shape)

    def call(self, hidden):
        return self.dense(hidden)


class SpeechToText(TextGeneration, CustomPrediction, Task):
    """Letters of a sound, by teacher forcing; greedy search."""

    name = "speech_to_text"
    inputs = (Audio("audio", sample_rate=8000),)
    target = Answers()
    backbone_output = BackboneOutput("decoder")
    longest = 8

    def encode_targets(self, examples):
        return examples.targets

    def encode_training_examples(self, examples, preprocessor):
        ids = [[LETTERS.index(letter) + 3 for letter in text] for text in examples.answers]
        rows = [np.array([BEGIN, *each], np.int32) for each in ids]
        targets = ragged([np.array([*each, END], np.int32) for each in ids])
        encoded = dataclasses.replace(
            examples.encoded, decoder=ragged(rows), targets=targets, end_id=END
        )
        return dataclasses.replace(examples, targets=targets, encoded=encoded)

    def build_head(self, backbone):
        return Letters(backbone, name="head")

    def build_loss(self, head):
        return NextTokenLoss()

    def make_predict_fn(self, model):
        head = inner(model, Letters)

        def call(inputs, training=False):
            ids = inputs["decoder_token_ids"][:, :1]
            ended = tf.zeros_like(ids[:, 0], tf.bool)
            for _ in range(self.longest):
                read = {
                    **inputs,
                    "decoder_token_ids": ids,
                    "decoder_padding_mask": tf.ones_like(ids),
                }
                logits = head(head.backbone.call(read, training=False))[:, -1]
                following = tf.argmax(logits, axis=-1, output_type=tf.int32)
                following = tf.where(ended, PAD, following)
                ended |= following == END
                ids = tf.concat([ids, following[:, None]], axis=1)
            return {"text": _letters(ids[:, 1:])}

        return call

    def build_evaluator(self):
        return WordErrors()

    def build_signatures(self):
        return {DEFAULT: TextSignature(self)}


def _letters(ids):
    table = tf.constant(["", "", "", *LETTERS])
    return tf.strings.reduce_join(tf.gather(table, ids), axis=1)


class WordErrors(Evaluator):
    """The edits from what is heard to what was said, by the letters that were said."""

    metrics = reported({"character_error_rate": "character error rate"}, ("character_error_rate",))
    aggregate = "ratio"

    def terms(self, examples, outputs):
        heard = [each.decode() for each in outputs["text"]]
        rate = error_rates.character_error_rate(heard, examples.answers)
        return {"character_error_rate": rate}

    def report_examples(self, examples, outputs):
        def details(row):
            return {"truth": examples.answers[row], "predicted": outputs["text"][row].decode()}

        return shown_examples(examples, np.arange(0), details)


class TextSignature(ServingSignature):
    is_searched = True

    def serving_outputs(self, outputs, features):
        return {"text": outputs["text"]}

    def parse(self, answers):
        return {"text": np.array(answers["text"])}

    def format_predictions(self, examples, outputs):
        return [{"text": each.decode()} for each in outputs["text"]]


def examples(count, seed=0):
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        word = "".join(rng.choice(list(LETTERS), int(rng.integers(1, 5))))
        found.append((made_data.tone(rng, word), word))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    splits = {"train": examples(160), "validation": examples(20, 1), "test": examples(30, 2)}
    stage = Stage(epochs=12, batch_size=16, learning_rate=5e-3, schedule=Linear(warmup=0))
    room = tmp_path_factory.mktemp("speech")
    return tfft.train(
        SpeechToText(), TinySpeech(), splits, stage, workdir=room, plots=False, say=QUIET
    )


def test_sounds_of_different_lengths_become_texts(run):
    metric = run.report["metrics"]["character_error_rate"]
    assert metric["value"] < 0.7 and metric["low"] <= metric["value"] <= metric["high"]


@pytest.mark.slow
def test_predictions_and_the_export_agree(run, tmp_path):
    sounds, _ = zip(*examples(4, 3), strict=True)
    predicted = [each["text"] for each in run.predict(list(sounds))]
    served = tf.saved_model.load(str(run.export(tmp_path))).signatures["serving_default"]
    wavs = [tf.audio.encode_wav(each[:, None], 8000) for each in sounds]
    answers = served(audio=tf.stack(wavs))["text"].numpy()
    assert predicted == [each.decode() for each in answers]


@pytest.mark.slow
def test_a_frozen_encoder_is_stored_frame_by_frame():
    splits = {"train": examples(24), "test": examples(6, 1)}
    losses = {}
    for where in ("memory", "off"):
        cache = tfft.FeatureCache(where=where)
        stage = Stage(freeze_layers=2, epochs=2, batch_size=8, feature_cache=cache)
        one = tfft.train(SpeechToText(), TinySpeech(), splits, stage, plots=False, say=QUIET)
        losses[where] = [record["loss"] for record in one.report["curves"]]
    np.testing.assert_allclose(losses["memory"], losses["off"], rtol=1e-5)
