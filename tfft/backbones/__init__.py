"""Pretrained bodies: named groups from bottom to top, one pooled output, a preprocessor."""

from __future__ import annotations

from tfft.backbones.adapted import adapted
from tfft.backbones.applications import applications
from tfft.backbones.base import Backbone, Group
from tfft.backbones.hub import hub
from tfft.backbones.hub_images import hub_images
from tfft.backbones.presets import Preset, presets
from tfft.backbones.tiny import tiny
from tfft.backbones.tiny_image import tiny_image

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
