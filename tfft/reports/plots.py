"""The report's pictures: inline SVG that takes its colours and its font from the page."""

from __future__ import annotations

import html
import io
import itertools
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tfft.reports.result_line import Content, Rows

# Drawn in colours that stand for variables of the page's style, which differ in dark and light.
NAMES = ("ink", "faint", "line", "accent", "second", "paper")
VARIABLES = {f"#01020{number}": name for number, name in enumerate(NAMES, 3)}
INK, FAINT, LINE, ACCENT, SECOND, PAPER = VARIABLES
STYLE: Any = {
    "font.size": 11,
    "text.color": INK,
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), FAINT),
    **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.color", "ytick.color"), LINE),
    **dict.fromkeys(("axes.grid", "axes.axisbelow"), True),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
    "grid.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text: for a search, read aloud, in the page's font
    "svg.hashsalt": "tfft",
    "text.parse_math": False,  # a class may be named "$"
}
MOST_LABELS = 24  # class names beside a confusion matrix
LONGEST_LABEL = 18
NAME_WIDTH = 40  # characters of a model, in a line
LINES = [(color, line) for line in ("-", (0, (4, 1.5))) for color in (ACCENT, SECOND, INK)]


@matplotlib.rc_context(STYLE)
def comparison(models: Sequence[tuple[str, Mapping[str, float]]], figure_name: str) -> str:
    """Draws a figure of several models with their intervals, the first one foremost.

    Args:
      models: names with {"value", "low", "high"}, or the value alone.
      figure_name: of what is compared.
    """
    figure, axes = _figure(5, 0.75 + 0.5 * len(models))
    texts = []
    for place, (name, entry) in enumerate(models):
        color, value, text = FAINT if place else ACCENT, entry["value"], f"{entry['value']:.3f}"
        texts.append(f"{name} {text}")
        if "low" in entry:
            low, high = entry["low"], entry["high"]
            axes.plot([low, high], [place] * 2, color=color, linewidth=3, alpha=0.55)
            texts[-1] += f", from {low:.3f} to {high:.3f}"
        axes.plot(value, place, "o", color=color, markersize=9)
        axes.annotate(text, (value, place), (0, 8), textcoords="offset points", ha="center")
    names = [textwrap.fill(name, NAME_WIDTH, break_long_words=False) for name, _ in models]
    axes.set_yticks(range(len(models)), names, color=INK)
    axes.set_ylim(len(models) - 0.5, -0.7)
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    return _svg(figure, f"{figure_name} with 95 % intervals", "; ".join(texts))


@matplotlib.rc_context(STYLE)
def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Draws a confusion matrix: counts, shaded by their share of the row (the truth)."""
    counts, few = np.array(matrix), len(labels) <= MOST_LABELS
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size, font = 2.6 + 0.5 * min(len(labels), 6), 11 if len(labels) <= 6 else 8
    figure, axes = _figure(size + 0.7, size)
    for row, column in np.argwhere(counts > 0):
        share = float(shares[row, column])
        corner = (column - 0.48, row - 0.48)
        axes.add_patch(Rectangle(corner, 0.96, 0.96, color=ACCENT, alpha=share, linewidth=0))
        if len(labels) <= 12:
            text, color = f"{counts[row, column]:,}", PAPER if share > 0.55 else INK
            axes.text(column, row, text, ha="center", va="center", c=color, fontsize=font)
    names = [shortened(label) for label in labels] if few else []
    axes.set_xticks(range(len(names)), names, rotation=45 if len(labels) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelcolor=INK, labelsize=font)
    axes.set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5), aspect="equal")
    axes.grid(visible=False)
    axes.set(xlabel="predicted", ylabel="truth")
    text = "Rows are the truth, columns the prediction. "
    text += f"{np.trace(counts):,} of {counts.sum():,} are right"
    wrong = counts * (1 - np.eye(len(labels)))
    row, column = divmod(int(wrong.argmax()), len(labels))
    if row != column:
        times = f"{counts[row, column]:,} times"
        text += f"; most often, {times}, {labels[row]} is taken for {labels[column]}"
    return _svg(figure, "Confusion matrix", text)


@matplotlib.rc_context(STYLE)
def curves(records: Rows, name: str, best: Content | None = None) -> str:
    """Draws a figure of training and validation over the epochs of all stages.

    Args:
      records: one an epoch: stage, epoch and the figures `name` and `val_name` where measured.
      name: such as "loss".
      best: the record whose weights are kept.
    """
    figure, axes = _figure(5, 3.0)
    epochs, texts = range(1, len(records) + 1), []
    training, validation = (
        (name, "training", ACCENT, "-"),
        (f"val_{name}", "validation", SECOND, "--"),
    )
    for key, title, color, line in (training, validation):
        values = np.array([np.nan if r.get(key) is None else r[key] for r in records], float)
        if np.isfinite(values).any():
            axes.plot(epochs, values, line, marker="o", color=color, label=title, markersize=5)
            text = ", ".join(f"{value:.3f}" for value in values)
            texts.append(f"{title} {name} by epoch: {text}")
    if best in records:
        epoch = records.index(best) + 1
        axes.axvline(epoch, color=FAINT, linewidth=1, linestyle=":", label="kept")
        texts.append(f"the weights after epoch {epoch} are kept")
    for epoch, (before, after) in enumerate(itertools.pairwise(records), 1):
        if before.get("stage_number") != after.get("stage_number"):
            axes.axvline(epoch + 0.5, color=LINE, linewidth=1.5)
    axes.set_xticks(epochs[:: max(1, -(-len(records) // 10))])  # at most about ten
    axes.set(xlabel="epoch", ylabel=name, xlim=(0.7, len(records) + 0.3))
    axes.legend(loc="best")
    return _svg(figure, f"Learning curve: {name}", "; ".join(texts))


@matplotlib.rc_context(STYLE)
def lengths(histogram: Content, limit: int | None, split: str) -> str:
    """Draws a histogram of the tokens of texts, and where they are truncated.

    Args:
      histogram: counts and edges, and `longer`, the number of texts past the last edge.
      limit: tokens that are kept, None to draw no line.
      split: whose texts they are.
    """
    figure, axes = _figure(5, 2.7)
    edges, counts = np.array(histogram["edges"]), np.array(histogram["counts"])
    axes.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=ACCENT, alpha=0.8)
    if limit is not None and limit <= edges[-1] * 1.5:
        axes.axvline(limit, color=SECOND, linewidth=2)
        at: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        axes.annotate(f"cut at {limit}", (limit, 0.97), (-6, 0), ha="right", va="top", **at)
    axes.set(xlabel="tokens, special ones included", ylabel=f"{split} texts")
    axes.set_xlim(left=0)
    axes.grid(axis="x", visible=False)
    text = (
        f"{histogram['texts']:,} {split} texts: half have at most {histogram['median']:.0f} "
        f"tokens, 95 % at most {histogram['p95']:.0f}, the longest {histogram['longest']:,}"
    )
    return _svg(figure, f"Length of the {split} texts", text)


@matplotlib.rc_context(STYLE)
def reliability(calibration: Content) -> str:
    """Draws accuracy against confidence, bin by bin, above how the texts spread over the bins.

    Args:
      calibration: what `tfft.metrics.classification.reliability` returns.
    """
    figure = Figure((5, 4.0), layout="constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = calibration["bins"]
    axes.plot([0, 1], [0, 1], "--", color=FAINT, linewidth=1.2, label="calibrated")
    confidences, edges, counts = (
        [one[key] for one in bins] for key in ("confidence", "low", "texts")
    )
    right, low, high = ([one["accuracy"][key] for one in bins] for key in ("value", "low", "high"))
    axes.vlines(confidences, low, high, color=ACCENT, linewidth=3, alpha=0.4)
    line = {"color": ACCENT, "markersize": 5, "linewidth": 1.2, "label": "this model"}
    axes.plot(confidences, right, "o-", **line)
    below.bar(edges, counts, (bins[0]["high"] - bins[0]["low"]) * 0.92, align="edge", color=ACCENT)
    below.set(xlabel="probability of the predicted class", ylabel="texts")
    below.grid(axis="x", visible=False)
    axes.set(ylabel="accuracy", ylim=(-0.02, 1.02), xlim=(edges[0] - 0.02, 1.02))
    axes.legend(loc="upper left")
    text = "; ".join(
        f"{each['texts']:,} texts with mean probability {each['confidence']:.3f}: accuracy "
        f"{each['accuracy']['value']:.3f}"
        for each in bins
    )
    return _svg(figure, "Reliability of the probabilities", text)


@matplotlib.rc_context(STYLE)
def roc(entries: Rows, areas: Mapping[str, float]) -> str:
    """Draws the true-positive rate of a class against its false-positive rate.

    Args:
      entries: what `tfft.metrics.classification.roc_and_pr_curves` returns.
      areas: by the name of the class.
    """
    figure, axes = _square("false-positive rate", "true-positive rate")
    chance = "chance" if len(entries) == 1 else None
    axes.plot([0, 1], [0, 1], ":", color=FAINT, linewidth=1.2, label=chance)
    texts = [
        f"{name}: area {areas[name]:.3f}; true-positive rate by false-positive rate: {heights}"
        for name, heights in _lines(axes, entries, "roc", areas, (0.01, 0.05, 0.1, 0.2))
    ]
    figure.legend(loc="outside lower center", ncols=2)
    return _svg(figure, "ROC curves", "; ".join(texts))


@matplotlib.rc_context(STYLE)
def precision_recall(entries: Rows, areas: Mapping[str, float]) -> str:
    """Draws the precision of a class against its recall; arguments as in `roc`."""
    figure, axes = _square("recall", "precision")
    shares = {entry["label"]: entry["share"] for entry in entries}
    if len(entries) == 1:
        [chance] = shares.values()
        axes.axhline(chance, color=FAINT, linewidth=1.2, linestyle=":", label="chance")
    texts = [
        f"{name}: area {areas[name]:.3f}, by chance {shares[name]:.3f}; precision by recall: {text}"
        for name, text in _lines(axes, entries, "precision_recall", areas, (0.5, 0.8, 0.9, 0.95))
    ]
    figure.legend(loc="outside lower center", ncols=2)
    return _svg(figure, "Precision-recall curves", "; ".join(texts))


def _square(across: str, up: str) -> tuple[Figure, Any]:
    """Returns a figure whose axes go from 0 to 1."""
    figure, axes = _figure(5, 4.4)
    axes.set(xlabel=across, ylabel=up, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def _lines(
    axes: Any,
    entries: Rows,
    curve: str,
    areas: Mapping[str, float],
    places: Sequence[float],
) -> Iterator[tuple[str, str]]:
    """Draws a curve of each class; yields its name, and in words how high it is at some places."""
    for entry, (color, line) in zip(entries, LINES, strict=False):
        name, (x, y) = entry["label"], entry[curve].values()
        label = f"{shortened(name)} {areas[name]:.3f}"
        axes.plot(x, y, color=color, linestyle=line, label=label)
        yield name, ", ".join(f"{np.interp(at, x, y):.3f} at {at:g}" for at in places)


def shortened(text: str, longest: int = LONGEST_LABEL) -> str:
    """Returns a name that fits beside an axis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure((width, height), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure: Figure, title: str, description: str) -> str:
    """Returns the figure as an `svg` element with a title and a description.

    Matplotlib's own style sheet and metadata are taken out: the first would hold for the whole
    page. Ids get the title in front, since one page holds several figures.
    """
    out = io.StringIO()
    with warnings.catch_warnings():
        # Matplotlib misses glyphs of names in its own font; the browser draws them in another.
        warnings.filterwarnings("ignore", "Glyph")
        figure.set_facecolor("none")
        for axes in figure.axes:
            axes.set_facecolor("none")
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None})
    svg, prefix = out.getvalue(), re.sub(r"\W+", "-", title.lower())
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    for color, name in VARIABLES.items():
        svg = svg.replace(color, f"var(--{name})")
    width, height = (72 * inches for inches in figure.get_size_inches())
    opening = (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width: {width * 1.5:.0f}px" role="img" '
        f'aria-labelledby="{prefix}-title {prefix}-said">'
        f'<title id="{prefix}-title">{html.escape(title)}</title>'
        f'<desc id="{prefix}-said">{html.escape(description)}</desc>'
    )
    return opening + svg[svg.index(">") + 1 :].strip()
