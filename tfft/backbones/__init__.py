"""Pretrained backbones: named groups of layers from bottom to top, outputs, a preprocessor.

A file that a config can name holds a function of its name; the others read weights and divide
backbones. A backbone does not know about tasks.
"""

from __future__ import annotations

from tfft.backbones.base import Backbone, Group
from tfft.backbones.from_run import from_run
from tfft.backbones.image.keras_applications import keras_applications
from tfft.backbones.image.keras_hub_images import keras_hub_images
from tfft.backbones.image.tiny_image import tiny_image
from tfft.backbones.multimodal.towers import towers
from tfft.backbones.presets import Preset, presets
from tfft.backbones.text.keras_hub import keras_hub
from tfft.backbones.text.tiny import tiny

__all__ = [
    "Backbone",
    "Group",
    "Preset",
    "from_run",
    "keras_applications",
    "keras_hub",
    "keras_hub_images",
    "presets",
    "tiny",
    "tiny_image",
    "towers",
]
