"""A training loop of your own around a model that tfft freezes and builds.

.venv/bin/python examples/own_loop.py [PRESET]
"""

import sys

import keras
import tensorflow as tf

import tfft

TEXTS = ["a fine film", "a dull film", "fine acting", "dull acting"] * 8
LABELS = ["good", "bad", "good", "bad"] * 8


def main(preset: str | None = None) -> None:
    """Trains the upper half of a body for a few steps and prints the loss."""
    task = tfft.tasks.TextClassification(labels=["bad", "good"])
    body = tfft.backbones.keras_hub(preset) if preset else tfft.backbones.tiny()
    stage = tfft.Stage(freeze_layers=body.depth // 2, learning_rate=1e-3)
    model = tfft.build(task, body, stage, steps=20)

    tokens = body.preprocessor.pad(body.preprocessor.tokenize(tf.constant(TEXTS)))
    inputs = {name: tokens[name] for name in ("token_ids", "padding_mask")}
    targets = task.target.numbers(LABELS)
    loss_function = keras.losses.SparseCategoricalCrossentropy()

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = loss_function(targets, model(inputs, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return loss

    for number in range(20):
        loss = step()
        if number % 5 == 0 or number == 19:
            print(f"step {number:2d}  loss {float(loss):.4f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
