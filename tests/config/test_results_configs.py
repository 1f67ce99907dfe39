"""The configs of docs/results.md with their real weights and data: a step of each stage."""

import pytest

from tfft.cli.main import command
from tfft.config import includes

NAMES = sorted(path.name for path in (includes.packaged() / "results").glob("*.gin"))


@pytest.mark.extras
@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_each_stage(name, capfd):
    assert command(["check", f"--gin_file=results/{name}"]) == 0
    assert capfd.readouterr().out.rstrip().endswith("ready")
