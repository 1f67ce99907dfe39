"""report.md: a model card (Mitchell et al., 2019) in the form of the Hugging Face Hub.

The front matter is YAML in which every value is written as JSON, which YAML includes.
"""

from __future__ import annotations

from tfft.reports.result_line import Content, answer, main_name
from tfft.reports.tables import STANDS, class_columns, models, remarks, units, worded
from tfft.reports.templates import template

SHOWN_SLICES = 10
SHOWN_LABELS = 50
# Names of the Hub's metrics; those that it lacks keep ours.
HUB_METRICS = {"macro_f1": "f1", "weighted_f1": "f1"}


def card(content: Content) -> str:
    """Returns report.md."""
    listed = [HUB_METRICS.get(key, key) for key in content["shown"] if key in content["metrics"]]
    return template("report.md.jinja").render(
        content=content,
        answer=answer(content),
        models=models(content),
        remarks=remarks(content),
        main_name=main_name(content),
        class_columns=worded(class_columns(content["metrics"], areas=False), content),
        hub_metrics=HUB_METRICS,
        listed_metrics=list(dict.fromkeys(listed)),
        stands=worded(STANDS, content),
        units=units(content),
        shown_slices=SHOWN_SLICES,
        shown_labels=SHOWN_LABELS,
    )
