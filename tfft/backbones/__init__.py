"""Pretrained bodies: named groups from bottom to top, one pooled output, a preprocessor."""

from __future__ import annotations

from tfft.backbones.adapted import adapted
from tfft.backbones.body import Backbone, Group
from tfft.backbones.hub import hub
from tfft.backbones.presets import Preset, presets
from tfft.backbones.tiny import tiny

__all__ = ["Backbone", "Group", "Preset", "adapted", "hub", "presets", "tiny"]
