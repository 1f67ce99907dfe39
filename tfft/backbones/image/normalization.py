"""What the first layers of an image model expect of pixels: functions that a file can hold."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfft.errors import ConfigError


@keras.saving.register_keras_serializable("tfft")
class ApplicationNormalization:
    """What `preprocess_input` of a model of `keras.applications` does.

    Args:
      application: the name of the model, such as "VGG16".

    Raises:
      ConfigError: there is no such model.
    """

    def __init__(self, application: str):
        make = getattr(keras.applications, application, None)
        module = sys.modules.get(getattr(make, "__module__", ""))
        # Each model's file has a function of its own.
        self._preprocess: Any = getattr(module, "preprocess_input", None)
        if self._preprocess is None:
            raise ConfigError(f"{application!r} is not a model of keras.applications.")
        self.application = application

    def __call__(self, pixels: Any) -> Any:
        """Returns normalized pixels, of float32 [b h w c], 0 to 255."""
        return self._preprocess(pixels)

    def get_config(self) -> dict[str, Any]:
        return {"application": self.application}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ApplicationNormalization:
        return cls(**config)


@keras.saving.register_keras_serializable("tfft")
class LinearNormalization:
    """Pixels times a scale plus an offset.

    Args:
      scale, offset: a number, or one for each channel.
    """

    def __init__(self, scale: float | Sequence[float], offset: float | Sequence[float]):
        self.scale, self.offset = (np.asarray(each, np.float32) for each in (scale, offset))

    def __call__(self, pixels: Any) -> Any:
        """Returns normalized pixels, of float32 [b h w c], 0 to 255."""
        return pixels * self.scale + self.offset

    def get_config(self) -> dict[str, Any]:
        return {"scale": self.scale.tolist(), "offset": self.offset.tolist()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> LinearNormalization:
        return cls(**config)
