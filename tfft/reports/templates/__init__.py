"""Jinja templates of the pages and of the model card."""

from __future__ import annotations

import importlib.resources


def read_template(name: str) -> str:
    """Returns the text of a template, such as "report.html.jinja"."""
    return importlib.resources.files(__name__).joinpath(name).read_text("utf-8")
