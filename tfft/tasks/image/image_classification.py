"""Image classification: one label out of several for each image."""

from __future__ import annotations

from typing import Any, ClassVar

from tfft.baselines.pixels import pixel_floors
from tfft.data.examples import Examples
from tfft.data.inputs import Image
from tfft.preprocessing.image.image_preprocessor import thumbnail
from tfft.preprocessing.media_files import name_of
from tfft.tasks.classification import Classification
from tfft.tasks.evaluators.base import Floors, Log


class ImageClassification(Classification):
    """A softmax Dense on the pooled output of a backbone of images, trained with cross-entropy.

    An example is the path of an image, or a data URI; an export takes the contents of files. All
    arguments are those of `Classification`.
    """

    name: ClassVar[str] = "image_classification"
    inputs: tuple[Image, ...] = (Image("image"),)

    def _baselines(self, train: Examples, test: Examples, classes: int, log: Log) -> Floors:
        pixels = (train.encoded.tokens, train.targets, test.encoded.tokens)
        return pixel_floors(*pixels, classes, log)

    def _describe(self, examples: Examples, row: int) -> dict[str, Any]:
        """Returns an image's name, and a small picture of what the model read."""
        [pixels] = examples.encoded.tokens.take([row]).rows()
        name = name_of(examples.inputs[0][row])
        return {"text": name, "characters_left_out": 0, "thumbnail": thumbnail(pixels[0])}
