"""Where the arguments of earlier versions are now, for errors."""

from __future__ import annotations

RENAMED = {
    "Stage": {
        "accumulate": "Batching.gradient_accumulation_steps",
        "adversarial": "AdversarialStep.length, with Stage.regularizers = (@AdversarialStep(),)",
        "average": "Stage.averaging = (@EMA(),) or (@SWA(),)",
        "batch_tokens": "Batching.max_size",
        "clip_norm": "AdamW.global_clipnorm",
        "cycles": "CosineRestarts.cycles, with Stage.schedule = @CosineRestarts()",
        "dropout": "Dropout.rate, with Stage.regularizers = (@Dropout(),)",
        "ema_momentum": "EMA.momentum, with Stage.averaging = (@EMA(),)",
        "features": "FeatureCache.where",
        "half_features": 'FeatureCache.dtype = "float16"',
        "l2_sp": "L2SP.strength, with Stage.regularizers = (@L2SP(),)",
        "layer_decay": "AdamW.layer_decay",
        "lengths": "Batching.padded_lengths",
        "min_change": "EarlyStopping.min_delta",
        "mixup": "Mixup.alpha, with Stage.regularizers = (@Mixup(),)",
        "monitor": "EarlyStopping.monitor",
        "monitor_mode": "EarlyStopping.mode",
        "noise": "NoisyEmbeddings.alpha, with Stage.regularizers = (@NoisyEmbeddings(),)",
        "oversample": "Batching.oversample",
        "patience": "EarlyStopping.patience",
        "precision": "Execution.dtype_policy",
        "r_drop": "RDrop.alpha, with Stage.regularizers = (@RDrop(),)",
        "rates": "AdamW.learning_rate_multipliers",
        "reinit_layers": "ReinitTop.layers, with Stage.regularizers = (@ReinitTop(),)",
        "steps_per_execution": "Execution.steps_per_execution",
        "swa_start": "SWA.start, with Stage.averaging = (@SWA(),)",
        "unfreeze": "train.stages = (@GradualUnfreezing(),)",
        "unfreeze_layers": "GradualUnfreezing.layers",
        "warmup": "Linear.warmup, or that of another Stage.schedule",
        "weight_decay": "AdamW.weight_decay",
        "wise_ft": "WiseFT.shares, with Stage.averaging = (@WiseFT(),)",
        "xla": "Execution.jit_compile",
    },
}


def new_place(owner: str, argument: str) -> str | None:
    """Returns where an argument of an earlier version is now; None for no such argument."""
    return RENAMED.get(owner, {}).get(argument)
