"""The configs of Keras objects in a `.keras` file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras


def deserialize(value: Any) -> Any:
    """Returns the object that a layer's config holds.

    `get_config` of these layers returns the object itself, and Keras serializes it. A dict that
    `get_config` made would be copied before Keras knows that a second layer holds the same object,
    and each layer would load an object of its own. A layer that is made of another one's config
    directly shares the object with it.

    Args:
      value: the object, or the dict that Keras made of it.
    """
    return keras.saving.deserialize_keras_object(value) if isinstance(value, Mapping) else value


class Configured:
    """Mixin of a Keras object whose config holds the attributes that are named in `settings`."""

    settings: ClassVar[tuple[str, ...]]

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.settings}
        return {**super().get_config(), **own}  # type: ignore[misc]
