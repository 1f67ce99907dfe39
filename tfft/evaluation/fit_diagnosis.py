"""Over- and underfitting, as the losses of the epochs show it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

FEWEST_EPOCHS = 3
RISE = 0.05  # of the lowest validation loss: a rise that is more than noise
LEAST_RISE = 0.01
FALL = 0.02  # of the validation loss before: an epoch that still helped
NOTHING_LEARNED = 0.9  # of the loss of a constant answer
GAP = 0.5


def fitting(
    records: Sequence[Mapping[str, Any]], constant_loss: float | None = None
) -> dict[str, Any]:
    """Returns a verdict on the learning curves, and a sentence that says it.

    The training loss is a mean over an epoch in which the weights still change and dropout is on,
    so it stands higher than that of the finished weights. A training loss above the validation
    loss therefore says nothing; the rules compare each loss with its own past, and levels only
    where that bias makes them stricter. The first rule that holds decides; t and v are the
    training and validation losses of all epochs, the stages one after the other:

    - `diverged`: the last t or v is not finite.
    - `no_validation`: there is no v.
    - `too_few_epochs`: there are less than 3 epochs.
    - `underfitting`: both the last t and the lowest v are above 0.9 of the loss of a constant
      answer.
    - `overfitting`: v ends higher than its lowest by more than 5 % of it and 0.01, while t ends
      lower than it was in that epoch.
    - `still_improving`: the last epoch has the lowest v, by more than 2 % of the one before, and
      t fell too.
    - `gap`: t ends below half of v.
    - `fine`: none of these.

    Args:
      records: `loss` and `val_loss` of each epoch, in the order of training.
      constant_loss: of the best answer that is the same for every text, such as the shares of the
        classes; None for no `underfitting`.

    Returns:
      `verdict` and `sentence`.
    """
    both = [(r.get("loss"), r.get("val_loss")) for r in records]
    if both and any(value is not None and not math.isfinite(value) for value in both[-1]):
        return _found("diverged", "The training diverged: the last loss is not finite.")
    losses = [(t, v) for t, v in both if t is not None and v is not None]
    losses = [pair for pair in losses if all(map(math.isfinite, pair))]
    if not losses:
        return _found(
            "no_validation",
            "There is no validation loss: nothing can be said about over- or underfitting.",
        )
    train, valid = [t for t, _ in losses], [v for _, v in losses]
    if len(losses) < FEWEST_EPOCHS:
        return _found(
            "too_few_epochs",
            f"{len(losses)} {'epoch' if len(losses) == 1 else 'epochs'}: too few to say whether "
            "the model over- or underfits.",
        )
    if constant_loss is not None and min(train[-1], min(valid)) > NOTHING_LEARNED * constant_loss:
        return _found(
            "underfitting",
            f"Underfitting: the training loss ended at {train[-1]:.3f}, and answering every text "
            f"alike gives {constant_loss:.3f}. A higher learning rate, more trained layers or "
            "more epochs may help.",
        )
    return _of_course(train, valid)


def _of_course(train: Sequence[float], valid: Sequence[float]) -> dict[str, Any]:
    """Judges the course of three epochs or more."""
    low = min(range(len(valid)), key=valid.__getitem__)
    last = len(valid) - 1
    rise = valid[last] - valid[low]
    if rise > max(RISE * valid[low], LEAST_RISE) and train[last] < train[low]:
        return _found(
            "overfitting",
            f"Overfitting after epoch {low + 1}: validation loss rose from {valid[low]:.3f} to "
            f"{valid[last]:.3f} while training loss fell from {train[low]:.3f} to "
            f"{train[last]:.3f}.",
        )
    fell = valid[last - 1] - valid[last]
    if low == last and fell > FALL * valid[last - 1] and train[last] < train[last - 1]:
        return _found(
            "still_improving",
            f"Not trained to the end: the last epoch still lowered validation loss from "
            f"{valid[last - 1]:.3f} to {valid[last]:.3f}. More epochs would probably help.",
        )
    if train[last] < GAP * valid[last]:
        return _found(
            "gap",
            f"The model fits the training texts far better than others (loss {train[last]:.3f} "
            f"against {valid[last]:.3f}); it has done validation loss no harm.",
        )
    return _found(
        "fine",
        f"Neither over- nor underfitting shows: validation loss was lowest after epoch {low + 1} "
        f"({valid[low]:.3f}) and ended at {valid[last]:.3f}.",
    )


def _found(verdict: str, sentence: str) -> dict[str, Any]:
    return {"verdict": verdict, "sentence": sentence}
