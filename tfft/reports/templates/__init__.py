"""Jinja templates of the pages and of the model card."""

from __future__ import annotations

import functools
import importlib.resources
import json
from typing import TYPE_CHECKING

from tfft.reports.printable import printable
from tfft.reports.result_line import number
from tfft.reports.tables import cell, share, visible

if TYPE_CHECKING:
    from jinja2 import Template


@functools.cache
def template(name: str) -> Template:
    """Returns a template, such as "report.html.jinja", compiled once a process.

    HTML templates escape what they print.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=".html." in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "cell": cell,
        "count": lambda value: f"{value:,}",
        "json": lambda value: json.dumps(value, ensure_ascii=True),
        "number": number,
        "printable": lambda value: printable(value, lines=False),
        "share": share,
        "visible": visible,
    }
    text = importlib.resources.files(__name__).joinpath(name).read_text("utf-8")
    return environment.from_string(text)
