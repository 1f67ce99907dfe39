"""What a task reads of a backbone."""

from __future__ import annotations

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class BackboneOutput:
    """Which output of a backbone a task's head reads.

    Attributes:
      kind: "pooled", one vector an instance, [b d]; "tokens", one a token, [b t d]; "both", that of
        the instance before those of its tokens, [b 1+t d]; "causal", one a token that knows what
        stands before it alone; "decoder", one a token of a text that is written; "spatial", the
        top feature map of an image, [b h w c]; "pyramid", a dict of the last feature map of each
        resolution, by its level: "P3" has an eighth of the image's height.
      instances: whether an example is several instances, each with an output: [b r ...].
      padding_value: with `instances`, the output of one that an example of a batch does not have.
    """

    kind: Literal["pooled", "tokens", "both", "causal", "decoder", "spatial", "pyramid"] = "pooled"
    instances: bool = False
    padding_value: float = 0.0


POOLED = BackboneOutput()
TOKENS = BackboneOutput("tokens")
SPATIAL = BackboneOutput("spatial")
PYRAMID = BackboneOutput("pyramid")
