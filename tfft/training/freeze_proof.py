"""The proof that frozen weights stayed bit-identical and trained ones changed."""

from __future__ import annotations

import fnmatch
import hashlib
from typing import Any

from tfft.errors import FreezeError
from tfft.layers.inspection import named_weights
from tfft.training.freezing import INVARIANT


def checksums(backbone: Any, head: Any) -> dict[str, str]:
    """Returns a SHA-256 of each variable, norm statistics included, random seeds not."""
    return {
        name: hashlib.sha256(variable.numpy().tobytes()).hexdigest()
        for name, variable in named_weights(backbone, head).items()
    }


def prove_freeze(before: dict[str, str], prepared: Any, backbone: Any, head: Any) -> dict[str, Any]:
    """Compares all variables with their checksums from before the stage.

    Returns:
      Counts: how many frozen variables are bit-identical, how many trained ones moved, and which
      could not move because the model does not depend on them.

    Raises:
      FreezeError: a frozen variable changed, or a trainable one did not.
    """
    after, variables = checksums(backbone, head), named_weights(backbone, head)
    changed = {name for name in after if after[name] != before[name]}
    trainable = {n for n in after if n not in prepared.frozen and variables[n].trainable}
    broken = sorted(changed & prepared.frozen)
    still = sorted(trainable - changed)
    invariant = [n for n in still if any(fnmatch.fnmatch(n, pattern) for pattern in INVARIANT)]
    unmoved = [name for name in still if name not in invariant and not _waits(name, prepared)]
    if broken or unmoved:
        kind = "frozen but changed" if broken else "trainable but did not move"
        names = ", ".join((broken or unmoved)[:5])
        raise FreezeError(
            f"the freeze proof of stage {prepared.stage.name!r} failed: "
            f"{len(broken or unmoved)} variables are {kind}: {names}.",
            valid="a learning rate large enough to move float32 weights, and no assignment by hand",
        )
    return {
        "frozen_bit_identical": len(prepared.frozen),
        "trainable_moved": len(trainable & changed),
        "cannot_move": invariant,
    }


def _waits(name: str, prepared: Any) -> bool:
    """Returns True if a variable has no gradient before its adapter's others have moved."""
    method, optimizer = prepared.stage.method, prepared.trained.optimizer
    if method is None or method.adds is None:
        return False
    steps = int(getattr(optimizer, "inner_optimizer", optimizer).iterations)
    late = (f"*/{method.adds.name}/{each}" for each in method.adds.late)
    return steps < 2 and any(fnmatch.fnmatch(name, pattern) for pattern in late)
