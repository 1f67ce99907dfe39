"""Raw texts to trained weights, against Transformers' Trainer on torch with dynamic padding.

Both freeze the embeddings and layers 0 to 3 of MiniLM-L6, pool by BERT's pooler and train 5 epochs
at batch 32; ours fills its frozen features within the time.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np

from benchmarks.harness import Outcome, Score, accuracy_fault, interleave
from benchmarks.sides import DECAY, RATE, WARMUP, Product, minilm, reviews
from tfft.storage.downloads import fetch
from tfft.training.stage import Stage

REACH = 2.5
EPOCHS = 5


class Torch:
    """Transformers' Trainer, its model made anew for each run."""

    def __init__(self, source: Any):
        import torch
        from transformers import AutoTokenizer

        self.torch = torch
        self.folder = str(fetch.cache_dir() / "minilm_l6")
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.rows = {split: list(source.rows(split)) for split in ("train", "validation")}
        self.labels = source.labels
        self.room = tempfile.TemporaryDirectory()

    def data(self, split: str) -> list[dict[str, Any]]:
        texts = [text for text, _ in self.rows[split]]
        found = self.tokenizer(texts, truncation=True, max_length=128)
        return [
            {
                "input_ids": found["input_ids"][i],
                "attention_mask": found["attention_mask"][i],
                "labels": self.labels.index(label),
            }
            for i, (_, label) in enumerate(self.rows[split])
        ]

    def run(self, seed: int, most: int | None = None) -> float:
        from transformers import (
            AutoModelForSequenceClassification,
            DataCollatorWithPadding,
            Trainer,
            TrainingArguments,
        )

        model = AutoModelForSequenceClassification.from_pretrained(
            self.folder, num_labels=len(self.labels)
        )
        for part in (model.bert.embeddings, *model.bert.encoder.layer[:4]):
            for parameter in part.parameters():
                parameter.requires_grad = False
        settings = TrainingArguments(
            self.room.name,
            per_device_train_batch_size=32,
            num_train_epochs=EPOCHS,
            learning_rate=RATE,
            warmup_steps=round(WARMUP * EPOCHS * -(-len(self.rows["train"]) // 32)),
            weight_decay=DECAY,
            seed=seed,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=True,
        )
        began = time.perf_counter()
        data = self.data("train")[:most]
        collate = DataCollatorWithPadding(self.tokenizer)
        self.trainer = Trainer(model, settings, train_dataset=data, data_collator=collate)
        self.trainer.train()
        return time.perf_counter() - began

    def score(self) -> Score:
        found = self.trainer.predict(self.data("validation"))
        right = int((np.asarray(found.predictions).argmax(-1) == found.label_ids).sum())
        return Score(right, len(found.label_ids))


def run(quick: bool, pairs: int) -> Outcome | None:
    """Returns their seconds over ours; None when torch is missing."""
    try:
        import accelerate  # noqa: F401
        import torch
        import transformers  # noqa: F401
    except ImportError as error:
        print(f"skipped: {error.name} is missing; pip install -e '.[bench]' brings it")
        return None
    source = reviews(128 if quick else 384)
    stage = Stage(freeze_layers=4, epochs=EPOCHS, learning_rate=RATE)
    ours = Product(source, stage, minilm("pooler"))
    theirs = Torch(source)
    rows = source.size("train")
    print(f"{rows} sentences, {EPOCHS} epochs; torch on {torch.get_num_threads()} threads")
    ours.warm()
    theirs.run(0, 64)
    scores: list[list[Score]] = [[], []]

    def side(which: int, model: Any, seed: int) -> float:
        seconds = model.run(seed)
        scores[which].append(model.score())
        return seconds

    found = interleave(lambda seed: side(0, ours, seed), lambda seed: side(1, theirs, seed), pairs)
    for mine, other in found:
        print(f"  {rows * EPOCHS / mine:7.1f} examples/s against {rows * EPOCHS / other:6.1f}")
    fault = accuracy_fault(*scores)
    details = {
        "seconds": found,
        "rows": rows,
        "epochs": EPOCHS,
        "accuracy": [[s.share for s in side] for side in scores],
    }
    return Outcome([b / a for a, b in found], [fault] if fault else [], details)
