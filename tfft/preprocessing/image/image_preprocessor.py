"""From encoded images to pixels in the graph, with the same code for training and for serving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tfft.errors import DataError
from tfft.preprocessing.fingerprints import digest
from tfft.preprocessing.image.image_sizes import MOST_PIXELS, claimed_pixels
from tfft.preprocessing.media_files import KINDS, content, data_uri, name_of

THUMBNAIL = 64  # pixels of its longer side


class ImagePreprocessor(tf.Module):
    """Decodes an image, makes it RGB, and resizes it bilinearly with antialiasing.

    Of a GIF the first frame is read; transparency is dropped, and a rotation that a camera wrote
    into the file is not applied.

    Args:
      height, width: of what the model reads, in pixels.
      fit: where the shape is another one: "crop" keeps the middle, "pad" the whole with black
        bars, "stretch" the whole without its aspect ratio.
    """

    windowed = False  # an example is one row
    reads = "pixels"  # what the model calls the rows
    padded = False  # all rows have one shape
    decodes_files = True
    inputs: tuple[str, ...] = ()
    pad_id = 0
    sequence_length = None
    batch = 64  # examples a call: their files are in memory together

    def __init__(self, height: int, width: int, fit: Literal["crop", "pad", "stretch"] = "crop"):
        super().__init__(name="image_preprocessor")
        self.height, self.width, self.fit = int(height), int(width), fit

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the pixels of one image: [h w c]."""
        return self.height, self.width, 3

    @property
    def signature(self) -> tuple[tf.TensorSpec, ...]:
        """What the model reads, as an export takes it: uint8 [b h w c]."""
        return (tf.TensorSpec([None, *self.shape], tf.uint8, name=self.reads),)

    def rows(self, values: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the pixels of images that a person named.

        Args:
          values: paths or data URIs, strings, [b].

        Returns:
          `pixels`: uint8 [b h w c].

        Raises:
          DataError: one cannot be read, or is no image; its `row` says which.
        """
        names = [value.decode() for value in values.numpy()]
        read = [_row(number, self._content, name) for number, name in enumerate(names)]
        try:
            return self(tf.constant(read))
        except tf.errors.InvalidArgumentError:
            for number, (name, each) in enumerate(zip(names, read, strict=True)):
                _row(number, self._refuse, name, each)
            raise

    def _content(self, name: str) -> bytes:
        """Returns the content of a file, unless the image in it is too large to be decoded."""
        read = content(name)
        if (pixels := claimed_pixels(read)) > MOST_PIXELS:
            raise DataError(
                f"{name_of(name)} has {pixels:,} pixels, by its header.",
                set_in=name_of(name),
                valid=f"images of at most {MOST_PIXELS:,} pixels, all frames together",
            )
        return read

    def _refuse(self, name: str, read: bytes) -> None:
        try:
            self(tf.constant([read]))
        except tf.errors.InvalidArgumentError as error:
            raise DataError(
                f"{name_of(name)} is no image that can be read ({len(read):,} bytes).",
                set_in=name_of(name),
                valid=f"{KINDS}, whole",
            ) from error

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")], autograph=False)
    def __call__(self, contents):
        """Returns the model's inputs for the contents of files, strings [b]: uint8 [b h w c]."""
        spec = tf.TensorSpec(self.shape, tf.uint8)
        return {self.reads: tf.map_fn(self._pixels, contents, fn_output_signature=spec)}

    def _pixels(self, read: tf.Tensor) -> tf.Tensor:
        """From the content of one file to uint8 [h w c]."""
        image = tf.cond(
            tf.strings.substr(read, 0, 2) == b"BM",
            # decode_image gives an error where a BMP has another number of channels.
            lambda: _three(tf.io.decode_bmp(read)),
            lambda: tf.io.decode_image(read, channels=3, expand_animations=False),
        )
        image = tf.ensure_shape(image, [None, None, 3])
        size = self.height, self.width
        if self.fit == "pad":
            resized = tf.image.resize_with_pad(image, *size, antialias=True)
        else:
            part = self._middle(image) if self.fit == "crop" else image
            resized = tf.image.resize(part, size, antialias=True)
        return tf.ensure_shape(tf.saturate_cast(tf.round(resized), tf.uint8), self.shape)

    def _middle(self, image: tf.Tensor) -> tf.Tensor:
        """Returns the largest part around the middle that has the aspect ratio of the model."""
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        tall = tf.clip_by_value(width * self.height // self.width, 1, height)
        wide = tf.clip_by_value(height * self.width // self.height, 1, width)
        top, left = (height - tall) // 2, (width - wide) // 2
        return image[top : top + tall, left : left + wide]

    def config(self) -> Mapping[str, Any]:
        """Returns its main settings for a report, JSON-able and short."""
        return {"image_size": [self.height, self.width], "fit": self.fit, "resize": "bilinear"}

    def fingerprint(self) -> str:
        """Returns the SHA-256, in hex, of every setting, and of what decodes."""
        return digest({**self.config(), "tensorflow": tf.__version__})


def _row(number: int, call: Any, *arguments: Any) -> Any:
    """Calls a function for one of several rows; its error says which."""
    try:
        return call(*arguments)
    except DataError as error:
        error.row = number
        raise


def _three(image: tf.Tensor) -> tf.Tensor:
    """Returns an image of 1, 3 or 4 channels with 3."""
    grey = tf.shape(image)[-1] == 1
    return tf.cond(grey, lambda: tf.repeat(image, 3, axis=-1), lambda: image[..., :3])


def thumbnail(pixels: np.ndarray) -> str:
    """Returns a small picture of uint8 [h w c] as a data URI."""
    scale = min(1.0, THUMBNAIL / max(pixels.shape[:2]))
    size = [max(1, round(side * scale)) for side in pixels.shape[:2]]
    small = tf.image.resize(pixels, size, antialias=True)
    small = tf.saturate_cast(tf.round(small), tf.uint8)
    return data_uri(tf.io.encode_jpeg(small, quality=85).numpy(), "jpeg")
