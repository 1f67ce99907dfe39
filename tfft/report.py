"""A run's figures as report.json, as a page to look at, and as tables for the terminal."""

from __future__ import annotations

import html
import io
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

SCHEMA = 1
SHOWN_MISTAKES = 20
FIGURES = ("precision", "recall", "f1")


def build(
    *,
    task: str,
    labels: Sequence[str],
    split: str,
    metrics: Mapping[str, Any],
    floors: Mapping[str, Any],
    truth: np.ndarray,
    outputs: np.ndarray,
    texts: Sequence[str],
    lengths: Mapping[str, np.ndarray],
    stages: Sequence[Mapping[str, Any]],
    **rest: Any,
) -> dict[str, Any]:
    """Returns the content of report.json; docs/report.md describes it.

    Args:
      truth: class numbers, int [n].
      outputs: probabilities, float [n c].
      texts: the evaluated texts, n of them.
      lengths: tokens of each text before the cut, per split.
      stages: name, groups and freeze proof of each stage.
      rest: truncation, curves, best, seconds, notes, machine, seed, command: written as they are.
    """
    return {
        "schema": SCHEMA,
        "task": task,
        "labels": list(labels),
        "split": split,
        "metrics": dict(metrics),
        "floors": dict(floors),
        "frozen": _frozen(stages),
        "stages": list(stages),
        "mistakes": _mistakes(truth, outputs, texts, labels),
        "lengths": {name: _histogram(values) for name, values in lengths.items()},
        **rest,
    }


def _frozen(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what the last stage froze, in parameters and groups."""
    groups = stages[-1]["groups"] if stages else []
    total = sum(row["parameters"] for row in groups)
    trained = sum(row["trainable"] for row in groups)
    return {
        "groups": [row["group"] for row in groups if row["trainable"] == 0],
        "parameters": total - trained,
        "trainable_parameters": trained,
        "trainable_share": trained / total if total else 0.0,
    }


def _mistakes(
    truth: np.ndarray, outputs: np.ndarray, texts: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns the mistakes of which the model was surest, those first."""
    predicted = outputs.argmax(-1)
    wrong = np.flatnonzero(predicted != truth)
    surest = wrong[np.argsort(-outputs[wrong].max(-1), kind="stable")][:SHOWN_MISTAKES]
    return [
        {
            "text": texts[row],
            "truth": labels[truth[row]],
            "predicted": labels[predicted[row]],
            "probability": float(outputs[row].max()),
        }
        for row in surest
    ]


def _histogram(values: np.ndarray) -> dict[str, list[float]]:
    counts, edges = np.histogram(values, bins=min(40, max(1, int(values.max()))))
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def write(
    folder: str | os.PathLike[str],
    content: Mapping[str, Any],
    write_file: Callable[[pathlib.Path, str], None],
) -> None:
    """Writes report.json and report.html with `write_file(path, text)`."""
    folder = pathlib.Path(folder)
    write_file(folder / "report.html", page(content))
    write_file(folder / "report.json", json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def share(entry: Mapping[str, float]) -> str:
    """Returns a figure with its interval as a person reads it."""
    if "low" not in entry:
        return f"{entry['value']:.4f}"
    return f"{entry['value']:.4f} ({entry['low']:.4f} to {entry['high']:.4f})"


def answer(content: Mapping[str, Any]) -> str:
    """Returns the run's result in one sentence."""
    accuracy = content["metrics"]["accuracy"]
    text = f"accuracy {share(accuracy)} on the {content.get('split', 'given')} split"
    floor = content["floors"].get("tfidf_logistic_regression")
    if floor is None:
        return text
    value = floor["accuracy"]["value"]
    beaten = accuracy["low"] > value
    verdict = "above it by more than the interval" if beaten else "not clearly above it"
    return f"{text}; TF-IDF with logistic regression reaches {value:.4f}: {verdict}"


def tables(content: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Returns what the terminal shows: title, columns and rows of each table."""
    metrics = content["metrics"]
    models = [("this model", metrics), *content["floors"].items()]
    found = [
        (
            f"Result: {answer(content)}",
            ["model", "accuracy (95 % interval)", "macro F1 (95 % interval)"],
            [[name, share(entry["accuracy"]), share(entry["macro_f1"])] for name, entry in models],
        ),
        (
            "Per class",
            ["class", "precision", "recall", "F1", "texts"],
            [
                [
                    name,
                    *(f"{row[key]:.4f}" for key in ("precision", "recall", "f1")),
                    row["support"],
                ]
                for name, row in metrics["classes"].items()
            ],
        ),
        (
            "Confusion matrix (rows: truth)",
            ["", *content["labels"]],
            [
                [name, *map(str, row)]
                for name, row in zip(content["labels"], metrics["confusion_matrix"], strict=True)
            ],
        ),
    ]
    if "frozen" in content:
        frozen = content["frozen"]
        rows = [
            ["frozen", f"{frozen['parameters']:,}", ", ".join(frozen["groups"]) or "nothing"],
            ["trained", f"{frozen['trainable_parameters']:,}", f"{frozen['trainable_share']:.1%}"],
        ]
        found.append(("What was frozen", ["", "parameters", "groups"], rows))
        seconds = [[phase, f"{value:.1f}"] for phase, value in content["seconds"].items()]
        found.append(("Seconds", ["phase", "seconds"], seconds))
    return found


def page(content: Mapping[str, Any]) -> str:
    """Returns report.html: one file that needs nothing else."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("tfft", "."), autoescape=True)
    return environment.get_template("report.html.jinja").render(
        content=content,
        answer=answer(content),
        tables=[table for table in tables(content) if not table[0].startswith("Confusion")],
        pictures=_pictures(content),
    )


def _pictures(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns titles and inline SVG of the confusion matrix, the curves and the lengths."""
    found = [("Confusion matrix", _picture(_draw_confusion, content))]
    if content.get("curves"):
        found.append(("Learning curves", _picture(_draw_curves, content)))
    if content.get("lengths"):
        found.append(("Length of the texts, in tokens", _picture(_draw_lengths, content)))
    return found


def _picture(draw: Callable[[Any, Mapping[str, Any]], str], content: Mapping[str, Any]) -> str:
    """Returns what `draw` puts on a figure as SVG with a text alternative."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    # Grey reads on a white page and on a dark one; text stays text.
    grey: Any = {name: "#7a828e" for name in ("text.color", "axes.labelcolor", "axes.edgecolor")}
    grey |= {"xtick.color": "#7a828e", "ytick.color": "#7a828e"}
    with pyplot.rc_context(
        {**grey, "svg.fonttype": "none", "svg.hashsalt": "tfft", "font.size": 11}
    ):
        figure = pyplot.figure(figsize=(6, 4))
        said = draw(figure, content)
        out = io.StringIO()
        figure.savefig(
            out, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
        pyplot.close(figure)
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    return svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(said)}"', 1)


def _draw_confusion(figure: Any, content: Mapping[str, Any]) -> str:
    matrix, labels = np.array(content["metrics"]["confusion_matrix"]), content["labels"]
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape) if len(labels) <= 12 else []:
        color = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=color)
    axes.set_xticks(range(len(labels)), labels, rotation=30 if len(labels) > 4 else 0)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="truth")
    figure.tight_layout()
    return f"Confusion matrix, rows are the truth: {matrix.tolist()}"


def _draw_curves(figure: Any, content: Mapping[str, Any]) -> str:
    records = content["curves"]
    steps = [record["step"] for record in records]
    said = []
    for place, name in enumerate(("loss", "accuracy")):
        axes = figure.add_subplot(1, 2, place + 1)
        for key, color in [(name, "#4c8bf5"), (f"val_{name}", "#e8833a")]:
            if key in records[0]:
                values = [record[key] for record in records]
                axes.plot(steps, values, marker="o", color=color, label=key)
                said.append(f"{key} from {values[0]:.3f} to {values[-1]:.3f}")
        axes.set(xlabel="batches", title=name)
        axes.legend(frameon=False)
    figure.tight_layout()
    return "Learning curves: " + ", ".join(said)


def _draw_lengths(figure: Any, content: Mapping[str, Any]) -> str:
    axes = figure.add_subplot()
    histogram = content["lengths"]["train"]
    edges = histogram["edges"]
    axes.bar(edges[:-1], histogram["counts"], np.diff(edges), align="edge", color="#4c8bf5")
    cut = content["truncation"]["train"]
    axes.set(xlabel="tokens", ylabel="training texts")
    figure.tight_layout()
    return f"Lengths of training texts; {cut['cut_texts']} of {cut['texts']} were cut"
