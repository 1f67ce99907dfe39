"""Regularizers: what a stage adds to its loss, its gradients or its weights against overfitting.

One file for each; `base.py` has the places of a stage and of a step at which they act.
"""

from tfft.training.regularizers.adversarial_step import AdversarialStep
from tfft.training.regularizers.dropout import Dropout
from tfft.training.regularizers.l2_sp import L2SP
from tfft.training.regularizers.mixup import Mixup
from tfft.training.regularizers.noisy_embeddings import NoisyEmbeddings
from tfft.training.regularizers.r_drop import RDrop
from tfft.training.regularizers.reinit_top import ReinitTop

__all__ = ["AdversarialStep", "Dropout", "L2SP", "Mixup", "NoisyEmbeddings", "RDrop", "ReinitTop"]
