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

# Drawn in colours that stand for variables of the page's style, which differ in dark and light.
INK, FAINT, LINE, ACCENT, SECOND, PAPER = (f"#01020{number}" for number in range(3, 9))
VARIABLES = dict(
    zip(
        (INK, FAINT, LINE, ACCENT, SECOND, PAPER),
        ("ink", "faint", "line", "accent", "second", "paper"),
        strict=True,
    )
)
STYLE: Any = {
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": FAINT,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": FAINT,
    "ytick.labelcolor": FAINT,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: found by a search, read aloud, in the page's font
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
    figure = Figure((5, 0.75 + 0.5 * len(models)))
    axes = _axes(figure)
    for place, (_, entry) in enumerate(models):
        color = FAINT if place else ACCENT
        if "low" in entry:
            ends = [entry["low"], entry["high"]]
            axes.plot(ends, [place] * 2, color=color, linewidth=3, alpha=0.55)
        axes.plot(entry["value"], place, "o", color=color, markersize=9)
        axes.annotate(
            f"{entry['value']:.3f}",
            (entry["value"], place),
            (0, 8),
            textcoords="offset points",
            ha="center",
        )
    names = [textwrap.fill(name, NAME_WIDTH, break_long_words=False) for name, _ in models]
    axes.set_yticks(range(len(models)), names, color=INK)
    axes.set_ylim(len(models) - 0.5, -0.7)
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    said = "; ".join(
        f"{name} {entry['value']:.3f}"
        + (f", from {entry['low']:.3f} to {entry['high']:.3f}" if "low" in entry else "")
        for name, entry in models
    )
    return _svg(figure, f"{figure_name} with 95 % intervals", said)


@matplotlib.rc_context(STYLE)
def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Draws a confusion matrix: counts, shaded by their share of the row (the truth)."""
    counts, few = np.array(matrix), len(labels) <= MOST_LABELS
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = 2.6 + 0.5 * min(len(labels), 6)
    figure = Figure((size + 0.7, size))
    axes = _axes(figure)
    for row, column in np.argwhere(counts > 0):
        share = float(shares[row, column])
        corner = (column - 0.48, row - 0.48)
        axes.add_patch(Rectangle(corner, 0.96, 0.96, color=ACCENT, alpha=share, linewidth=0))
        if few and len(labels) <= 12:
            color = PAPER if share > 0.55 else INK
            told, small = f"{counts[row, column]:,}", 11 if len(labels) <= 6 else 8
            axes.text(column, row, told, ha="center", va="center", c=color, fontsize=small)
    names = [shortened(label) for label in labels]
    ticks = range(len(labels)) if few else []
    axes.set_xticks(ticks, names if few else [], rotation=45 if len(labels) > 3 else 0)
    axes.set_yticks(ticks, names if few else [])
    axes.tick_params(length=0, labelcolor=INK, labelsize=11 if len(labels) <= 6 else 8)
    axes.set(xlim=(-0.5, len(labels) - 0.5), ylim=(len(labels) - 0.5, -0.5), aspect="equal")
    axes.grid(visible=False)
    axes.set(xlabel="predicted", ylabel="truth")
    said = (
        f"Rows are the truth, columns the prediction. {np.trace(counts):,} of {counts.sum():,} "
        "are right"
    )
    wrong = counts * (1 - np.eye(len(labels)))
    row, column = divmod(int(wrong.argmax()), len(labels))
    if row != column:
        times = f"{counts[row, column]:,} times"
        said += f"; most often, {times}, {labels[row]} is taken for {labels[column]}"
    return _svg(figure, "Confusion matrix", said)


@matplotlib.rc_context(STYLE)
def curves(
    records: Sequence[Mapping[str, Any]], name: str, best: Mapping[str, Any] | None = None
) -> str:
    """Draws a figure of training and validation over the epochs of all stages.

    Args:
      records: one an epoch: stage, epoch and the figures `name` and `val_name` where measured.
      name: such as "loss".
      best: the record whose weights are kept.
    """
    figure = Figure((5, 3.0))
    axes = _axes(figure)
    places, said = np.arange(1, len(records) + 1), []
    for key, title, color, line in [
        (name, "training", ACCENT, "-"),
        (f"val_{name}", "validation", SECOND, "--"),
    ]:
        drawn = np.array([np.nan if r.get(key) is None else r[key] for r in records], float)
        if np.isfinite(drawn).any():
            axes.plot(places, drawn, line, marker="o", color=color, label=title, markersize=5)
            told = ", ".join(f"{value:.3f}" for value in drawn)
            said.append(f"{title} {name} by epoch: {told}")
    kept = [place for place, record in zip(places, records, strict=True) if record == best]
    if kept:
        axes.axvline(kept[0], color=FAINT, linewidth=1, linestyle=":", label="kept")
        said.append(f"the weights after epoch {kept[0]} are kept")
    for place, (before, after) in enumerate(itertools.pairwise(records), 1):
        if before.get("stage_number") != after.get("stage_number"):
            axes.axvline(place + 0.5, color=LINE, linewidth=1.5)
    axes.set_xticks(_whole(len(records)))
    axes.set(xlabel="epoch", ylabel=name, xlim=(0.7, len(records) + 0.3))
    axes.legend(loc="best")
    return _svg(figure, f"Learning curve: {name}", "; ".join(said))


def _whole(count: int) -> list[int]:
    """Returns at most about ten whole numbers up to `count`."""
    return list(range(1, count + 1, max(1, -(-count // 10))))


@matplotlib.rc_context(STYLE)
def lengths(histogram: Mapping[str, Any], limit: int | None, split: str) -> str:
    """Draws how long texts are in tokens, and where they are cut.

    Args:
      histogram: counts and edges, and `longer`, the number of texts past the last edge.
      limit: tokens that are kept, None to draw no line.
      split: whose texts they are.
    """
    figure = Figure((5, 2.7))
    axes = _axes(figure)
    edges, counts = np.array(histogram["edges"]), np.array(histogram["counts"])
    axes.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=ACCENT, alpha=0.8)
    if limit is not None and limit <= edges[-1] * 1.5:
        axes.axvline(limit, color=SECOND, linewidth=2)
        axes.annotate(
            f"cut at {limit}",
            (limit, 0.97),
            (-6, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="right",
            va="top",
        )
    axes.set(xlabel="tokens, special ones included", ylabel=f"{split} texts")
    axes.set_xlim(left=0)
    axes.grid(axis="x", visible=False)
    said = (
        f"{histogram['texts']:,} {split} texts: half have at most {histogram['median']:.0f} "
        f"tokens, 95 % at most {histogram['p95']:.0f}, the longest {histogram['longest']:,}"
    )
    return _svg(figure, f"Length of the {split} texts", said)


@matplotlib.rc_context(STYLE)
def reliability(calibration: Mapping[str, Any]) -> str:
    """Draws accuracy against confidence, bin by bin, above how the texts spread over the bins.

    Args:
      calibration: what `tfft.metrics.classification.reliability` returns.
    """
    figure = Figure((5, 4.0))
    figure.set_layout_engine("constrained")
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = calibration["bins"]
    axes.plot([0, 1], [0, 1], "--", color=FAINT, linewidth=1.2, label="calibrated")
    sure = np.array([each["confidence"] for each in bins])
    right, low, high = (
        np.array([each["accuracy"][key] for each in bins]) for key in ("value", "low", "high")
    )
    axes.vlines(sure, low, high, color=ACCENT, linewidth=3, alpha=0.4)
    axes.plot(sure, right, "o-", color=ACCENT, markersize=5, linewidth=1.2, label="this model")
    edges = np.array([each["low"] for each in bins])
    counts = np.array([each["texts"] for each in bins])
    below.bar(edges, counts, (bins[0]["high"] - bins[0]["low"]) * 0.92, align="edge", color=ACCENT)
    below.set(xlabel="probability of the predicted class", ylabel="texts")
    below.grid(axis="x", visible=False)
    axes.set(ylabel="accuracy", ylim=(-0.02, 1.02), xlim=(edges[0] - 0.02, 1.02))
    axes.legend(loc="upper left")
    said = "; ".join(
        f"{each['texts']:,} texts with mean probability {each['confidence']:.3f}: accuracy "
        f"{each['accuracy']['value']:.3f}"
        for each in bins
    )
    return _svg(figure, "Reliability of the probabilities", said)


@matplotlib.rc_context(STYLE)
def roc(entries: Sequence[Mapping[str, Any]], areas: Mapping[str, float]) -> str:
    """Draws the share of a class that is found against the share of the rest that is taken for it.

    Args:
      entries: what `tfft.metrics.classification.roc_and_pr_curves` returns.
      areas: by the name of the class.
    """
    figure, axes = _square("false-positive rate", "true-positive rate")
    chance = "chance" if len(entries) == 1 else None
    axes.plot([0, 1], [0, 1], ":", color=FAINT, linewidth=1.2, label=chance)
    said = [
        f"{name}: area {areas[name]:.3f}; true-positive rate by false-positive rate: {told}"
        for name, told in _lines(axes, entries, "roc", areas, (0.01, 0.05, 0.1, 0.2))
    ]
    figure.legend(loc="outside lower center", ncols=2)
    return _svg(figure, "ROC curves", "; ".join(said))


@matplotlib.rc_context(STYLE)
def precision_recall(entries: Sequence[Mapping[str, Any]], areas: Mapping[str, float]) -> str:
    """Draws the precision of a class against its recall; arguments as in `roc`."""
    figure, axes = _square("recall", "precision")
    if len(entries) == 1:
        chance = entries[0]["share"]
        axes.axhline(chance, color=FAINT, linewidth=1.2, linestyle=":", label="chance")
    shares = {entry["label"]: entry["share"] for entry in entries}
    said = [
        f"{name}: area {areas[name]:.3f}, by chance {shares[name]:.3f}; precision by recall: {told}"
        for name, told in _lines(axes, entries, "precision_recall", areas, (0.5, 0.8, 0.9, 0.95))
    ]
    figure.legend(loc="outside lower center", ncols=2)
    return _svg(figure, "Precision-recall curves", "; ".join(said))


def _square(across: str, up: str) -> tuple[Figure, Any]:
    """Returns a figure whose axes go from 0 to 1."""
    figure = Figure((5, 4.4))
    axes = _axes(figure)
    axes.set(xlabel=across, ylabel=up, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def _lines(
    axes: Any,
    entries: Sequence[Mapping[str, Any]],
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


def _axes(figure: Figure) -> Any:
    figure.set_layout_engine("constrained")
    return figure.add_subplot()


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
    svg = out.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = svg[svg.index("<svg") :]
    prefix = re.sub(r"\W+", "-", title.lower())
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    for color, name in VARIABLES.items():
        svg = svg.replace(color, f"var(--{name})")
    width, height = (72 * inches for inches in figure.get_size_inches())
    names = f"{prefix}-title {prefix}-said"
    opening = (
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width: {width * 1.5:.0f}px" role="img" '
        f'aria-labelledby="{names}">'
        f'<title id="{prefix}-title">{html.escape(title)}</title>'
        f'<desc id="{prefix}-said">{html.escape(description)}</desc>'
    )
    return opening + svg[svg.index(">") + 1 :].strip()
