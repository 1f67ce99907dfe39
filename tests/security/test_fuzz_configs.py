"""Random and damaged configs: what is not read is refused with an error of ours.

`make test-extras` runs it for `TFFT_FUZZ_MINUTES` minutes of CPU, 10 by default.
"""

import os
import pathlib
import time

import hypothesis
import pytest
from hypothesis import strategies as st

from tfft.config import includes, load
from tfft.config.catalog import configurables
from tfft.config.operative_config import operative_text
from tfft.errors import UserError

MINUTES = float(os.environ.get("TFFT_FUZZ_MINUTES", "10"))
KNOWN = configurables()
PACKAGED = [path.read_text("utf-8") for path in sorted(includes.packaged().rglob("*.gin"))]
WHOLE = """\
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @files()
files.data = "reviews.csv"
train.stages = (@Stage(),)
"""
NAMES = [f"{name}.{each}" for name, entry in KNOWN.items() for each in entry.parameters]
SIGNS = ["%", "@", "/", ".", "=", ":", ",", "(", ")", "[", "]", "{", "}", "'", '"', "\\", "\n", " "]
SIGNS += ["\t", "#", "-", "()", "'''", "import ", "include ", "from ", "as ", "\0", "\r", "\ufeff"]
SIGNS += [
    "1e999",
    "0x",
    "1_0",
    "None",
    "True",
    "b'a'",
    "f'{x}'",
    "r'\\'",
    "...",
    "\u2028",
    "\ud800",
]


def values():
    """Values as a person or an attacker could write them."""
    plain = st.one_of(
        st.integers().map(repr),
        st.floats().map(repr),
        st.text(max_size=8).map(repr),
        st.binary(max_size=4).map(repr),
        st.sampled_from(["None", "True", "nan", "inf", "-1", "1j", "''", "%A", "%B", "%C", "..."]),
        st.sampled_from(sorted(KNOWN)).map(lambda name: f"@{name}()"),
        st.sampled_from(sorted(KNOWN)).map(lambda name: f"@a/{name}"),
        st.sampled_from(
            ["'a' 'b'", "'a' b'c'", "(1)", "(1,)", "[]", "{}", "()", "@x.y()", "@tfft"]
        ),
    )

    def inside(each):
        pairs = st.lists(st.tuples(each, each), max_size=3)
        return st.one_of(
            st.lists(each, max_size=4).map(lambda parts: f"[{', '.join(parts)}]"),
            st.lists(each, max_size=4).map(lambda parts: f"({', '.join(parts)},)"),
            pairs.map(lambda two: "{" + ", ".join(f"{a}: {b}" for a, b in two) + "}"),
        )

    return st.recursive(plain, inside, max_leaves=12)


def lines():
    names = st.one_of(
        st.sampled_from(NAMES),
        st.sampled_from(
            ["A", "B", "C", "train.stages", "train.slices", "a/Stage.epochs", "a/b/c.d"]
        ),
        st.text("abA./_%@1", min_size=1, max_size=8),
    )
    return st.one_of(
        st.tuples(names, values()).map(" = ".join),
        st.sampled_from(
            ["import os", "import tfft.api", "from tfft import api as x", "import tfft."]
        ),
        st.sampled_from(["include 'other.gin'", "include 'run.gin'", "include ''", "include 1"]),
        st.tuples(names, names, values()).map(lambda p: f"{p[0]}:\n  {p[1]} = {p[2]}"),
        st.text(
            st.sampled_from([*SIGNS, "a", "A", "1"]).filter(lambda s: len(s) == 1), max_size=12
        ),
    )


@st.composite
def damaged(draw):
    """A packaged config of which some characters are cut, doubled or replaced."""
    text = draw(st.sampled_from([*PACKAGED, WHOLE]))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = draw(st.integers(begin, min(len(text), begin + 20)))
        text = text[:begin] + draw(st.sampled_from([*SIGNS, "", text[begin:end] * 2])) + text[end:]
    return text


configs = st.one_of(
    damaged(),
    st.lists(lines(), max_size=8).map(lambda each: WHOLE + "\n".join(each) + "\n"),
    st.lists(lines(), max_size=8).map("\n".join),
)
flags = st.dictionaries(
    st.one_of(st.sampled_from([*NAMES, "A", "B", "EPOCHS", "DATA"]), st.text(max_size=6)),
    st.one_of(values(), st.text(max_size=8)),
    max_size=2,
)


def read(folder, text, other, overrides):
    """Loads a config, strictly and not; gin itself must understand what is made of it."""
    for name, content in (("run.gin", text), ("other.gin", other)):
        (folder / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    for strict in (True, False):
        try:
            found = load.load(["run.gin"], overrides, strict=strict)
        except UserError as error:
            str(error)
            continue
        assert found.text and found.settings is not None
        if not found.mistakes:
            uses = found.composition.uses()
            with load._gin(uses, operative_text(uses, found.composition, None, load._flat), {}):
                pass


@pytest.mark.extras
def test_no_config_raises_another_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "offered", lambda: dict(KNOWN))
    end, count = time.process_time() + 60 * MINUTES, 0

    def check(text, other, overrides):
        nonlocal count
        count += 1
        began = time.process_time()
        read(pathlib.Path(tmp_path), text, other, overrides)
        assert time.process_time() - began < 2

    while time.process_time() < end:
        settings = hypothesis.settings(
            max_examples=500,
            deadline=None,
            database=None,
            derandomize=False,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        settings(hypothesis.given(configs, configs, flags)(check))()
    print(f"{count:,} configs")
