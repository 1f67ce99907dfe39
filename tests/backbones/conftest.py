"""Where the reference numbers and the folders they were made from are."""

import json
import pathlib
import sys

import pytest

REFERENCE = pathlib.Path(__file__).parents[1] / "reference"
sys.path.insert(0, str(REFERENCE))


@pytest.fixture(scope="session")
def reference():
    def read(name):
        return json.loads((REFERENCE / name).read_text("utf-8"))

    return read
