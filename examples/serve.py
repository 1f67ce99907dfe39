"""Loads an exported model as a server does, with TensorFlow alone, and prints predictions.

.venv/bin/python examples/serve.py runs/movie_reviews/export
"""

import pathlib
import sys

import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the tokeniser's operations

TEXTS = [
    "A warm, funny film with a cast that clearly enjoys itself.",
    "Two hours of my life that I will never get back.",
    "The plot makes no sense, yet I could not look away.",
    "Beautifully shot, dreadfully written.",
    "One of the best pictures of the year.",
]


def main(folder: str) -> None:
    """Prints the label and the probabilities of a few sentences, or what else the model gives."""
    versions = [path for path in pathlib.Path(folder).iterdir() if path.name.isdigit()]
    newest = max(versions, key=lambda path: int(path.name))
    model = tf.saved_model.load(str(newest))
    answer = model.signatures["serving_default"](text=tf.constant(TEXTS))
    names = [name.decode() for name in model.labels().numpy()]
    if not {"label", "probabilities"} <= answer.keys():
        for name, value in answer.items():
            print(f"{name}: {value.numpy().tolist()}")
        return
    for text, label, row in zip(TEXTS, answer["label"], answer["probabilities"], strict=True):
        shares = "  ".join(f"{n} {p:.3f}" for n, p in zip(names, row.numpy(), strict=True))
        print(f"{label.numpy().decode():>10}  {shares}  {text}")
    assert "tfft" not in sys.modules


if __name__ == "__main__":
    main(sys.argv[1])
