"""Pretrained bodies: named groups from bottom to top, one pooled output, a preprocessor."""

from __future__ import annotations

from tfft.backbones.adapted import adapted
from tfft.backbones.base import Backbone, Group
from tfft.backbones.image.applications import applications
from tfft.backbones.image.hub_images import hub_images
from tfft.backbones.image.tiny_image import tiny_image
from tfft.backbones.presets import Preset, presets
from tfft.backbones.text.hub import hub
from tfft.backbones.text.tiny import tiny

__all__ = [
    "Backbone",
    "Group",
    "Preset",
    "adapted",
    "applications",
    "hub",
    "hub_images",
    "presets",
    "tiny",
    "tiny_image",
]
