"""Files that `predict` and `evaluate` read, by a run and by its export: columns, rows, refusals."""

import io
import json
import types

import numpy as np
import pytest
from finished_runs import copy_of, review, reviews
from trainings import slow

from tfft.cli import main as cli
from tfft.data.sources.conll import conll
from tfft.errors import DataError
from tfft.reports.console import Console
from tfft.runs.prediction_files import read_input, read_rows
from tfft.tasks.text.token_classification import TokenClassification


@pytest.fixture(scope="module")
def home(finished_run, tmp_path_factory):
    """A folder with data, a config and a finished run that was exported."""
    return copy_of(finished_run(reviews), tmp_path_factory.mktemp("predict") / "home")


@pytest.fixture(params=["out", slow("out/export")])
def call(request, home, monkeypatch, capsys):
    """Calls a command on the run or its export; returns its status, results and messages."""
    monkeypatch.chdir(home)

    def run(verb, content=None, *flags, name="new.csv", workdir=request.param):
        if content is not None and name != "-":
            (home / name).write_text(content)
        given = [] if content is None else [f"--input={name}"]
        capsys.readouterr()
        status = cli.command([verb, f"--workdir={workdir}", *given, *flags])
        shown = capsys.readouterr()
        return types.SimpleNamespace(status=status, out=shown.out, err=shown.err)

    return run


def lines(found):
    assert found.status == 0, found.err
    return [json.loads(line) for line in found.out.splitlines()]


def probabilities(rows):
    return [[row["probabilities"][name] for name in ("bad", "good")] for row in rows]


def test_the_columns_of_training_are_read_and_printed(call):
    long = "http://a.b/" + "y" * 100
    content = f"url,review\n{long},{review(1)}\n{long},{review(4)}\n"
    found = call("predict", content)
    rows = lines(found)
    assert [row["row"] for row in rows] == [1, 2]
    assert [row["input"] for row in rows] == [
        {"url": long, "review": review(1)},
        {"url": long, "review": review(4)},
    ]
    assert "text in column 'review' (as in training)" in found.err
    assert "2 rows read: 2 predictions" in found.err
    plain = lines(call("predict", f"{review(1)}\n{review(4)}\n", name="new.txt"))
    assert np.allclose(probabilities(rows), probabilities(plain), atol=1e-6)


def test_a_file_without_the_training_column_is_refused(call):
    found = call("predict", "url,opinion\nhttp://a.b/long/long/long,fine\n")
    assert found.status == 2 and found.out == ""
    assert "has no column 'review', which was the text in training" in found.err
    assert "Its columns: 'url', 'opinion'" in found.err
    assert "--columns=text=COLUMN" in found.err


def test_a_file_without_a_header_is_refused(call):
    found = call("predict", "a fine film,good\na dull film,bad\n")
    assert found.status == 2 and "a first line that names the columns" in found.err


def test_another_column_is_read_if_it_is_named(call):
    content = f"url,opinion\nhttp://a.b,{review(1)}\n"
    found = call("predict", content, "--columns=text=opinion")
    [row] = lines(found)
    assert row["input"]["opinion"] == review(1)
    assert "text in column 'opinion' (as named, 'review' in training)" in found.err
    refused = call("predict", content, "--columns=text=opinions")
    assert refused.status == 2 and "has no column 'opinions'" in refused.err
    refused = call("predict", content, "--columns=txt=opinion")
    assert refused.status == 2 and "which the task does not read" in refused.err
    refused = call("predict", f"{review(1)}\n", "--columns=text=opinion", name="new.txt")
    assert refused.status == 2 and "names no columns" in refused.err


def test_evaluate_reads_the_columns_of_training_or_named_ones(call):
    content = "\n".join(["url,stars,review", f"http://a.b,good,{review(1)}", f"c,bad,{review(2)}"])
    found = call("evaluate", content)
    assert found.status == 0
    assert "label in column 'stars' (as in training)" in found.err
    renamed = content.replace("stars", "grade").replace("review", "opinion")
    refused = call("evaluate", renamed)
    assert refused.status == 2 and "'review', which was the text in training" in refused.err
    refused = call("evaluate", content.replace("stars", "grade"))
    assert refused.status == 2 and "'stars', which was the label in training" in refused.err
    again = call("evaluate", renamed, "--columns=text=opinion,label=grade")
    assert again.status == 0 and again.out == found.out


def test_the_input_is_part_of_the_output_on_request(call):
    content = json.dumps({"review": review(1), "id": 7}) + "\n"
    [row] = lines(call("predict", content, name="new.jsonl"))
    assert row["row"] == 1 and "input" not in row
    [row] = lines(call("predict", content, "--include_input", name="new.jsonl"))
    assert row["input"] == {"review": review(1), "id": "7"}
    [row] = lines(call("predict", f"review\n{review(1)}\n", "--noinclude_input"))
    assert "input" not in row


def test_standard_input_is_read_alike(call, monkeypatch):
    def given(text):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    given(f"url,review\na,{review(1)}\n")
    found = call("predict", "", name="-")
    [row] = lines(found)
    assert row["input"]["review"] == review(1) and "(as in training)" in found.err
    given(f"{review(1)},good\n{review(2)},bad\n")
    assert call("predict", "", name="-").status == 2


BROKEN = f"review,url\n{review(1)},a\n,b\n{review(2)},c,d\n\n{review(3)},e\n"


def test_rows_that_cannot_be_read_are_skipped_on_request(call):
    assert call("predict", BROKEN).status == 2
    found = call("predict", BROKEN, "--on_error=skip")
    rows = lines(found)
    assert [row["row"] for row in rows] == [1, 4]
    assert [row["input"]["review"] for row in rows] == [review(1), review(3)]
    assert "4 rows read, 2 skipped: 2 predictions" in found.err
    assert "row 2 skipped: " in found.err and "row 3 skipped: " in found.err
    whole = lines(call("predict", f"review\n{review(1)}\n{review(3)}\n"))
    assert np.allclose(probabilities(rows), probabilities(whole), atol=1e-6)


def test_other_ways_of_skipping_are_refused(call):
    found = call("predict", BROKEN, "--on_error=ignore")
    assert found.status == 2 and "fail, skip" in found.err


def test_json_lines_that_are_broken_are_skipped(call):
    content = '{"review": "mark1"}\n{"review": 3}\n{broken\n{"review": "mark0"}\n'
    assert call("predict", content, name="new.jsonl").status == 2
    rows = lines(call("predict", content, "--on_error=skip", name="new.jsonl"))
    assert [row["row"] for row in rows] == [1, 4]


def test_a_file_of_which_nothing_can_be_read_gives_no_rows(call):
    found = call("predict", "review,url\n,a\n", "--on_error=skip")
    assert lines(found) == [] and "1 rows read, 1 skipped: 0 predictions" in found.err


def test_a_run_of_conll_files_reads_other_conll_files(tmp_path):
    train, other = tmp_path / "train.conll", tmp_path / "other.bio"
    lines = "\n\n".join(f"Ada{n}\tx\tB-person\ncame\tx\tO" for n in range(20))
    train.write_text(lines)
    other.write_text("he\tx\tO\nsaw\tx\tO\nBob\tx\tB-person\n\nno\tx\tO\n")
    schema = json.loads(json.dumps(conll(str(train), scheme="spans").schema))
    task = TokenClassification()
    table = read_input(task, str(other), schema, say=Console(quiet=True))
    assert table.texts == ["he saw Bob", "no"]
    assert [json.loads(answer) for answer in table.labels] == [[[7, 10, "person"]], []]
    assert list(table.rows) == [1, 2] and table.place(2).endswith("other.bio, sentence 2")
    texts = tmp_path / "new.jsonl"
    texts.write_text('{"text": "Eve left"}\n')
    table = read_input(task, str(texts), schema, say=Console(quiet=True), labelled=False)
    assert table.texts == ["Eve left"] and table.labels is None
    unlabelled = read_rows(task, str(other), schema, None, say=Console(quiet=True))
    assert unlabelled.inputs == (["he saw Bob", "no"],)


@pytest.mark.parametrize(
    "content, advised",
    [
        ("text,n\na film,1\n,2\n", True),
        ("text,n\na film,1\nb,2,3\n", True),
        ("title,n\na film,1\n", False),
        ('text,n\n"open,1\n', False),
    ],
    ids=["empty", "too long", "no column", "open quote"],
)
def test_skipping_is_advised_where_it_helps(tmp_path, content, advised):
    path = tmp_path / "new.csv"
    path.write_text(content)
    schema = {"inputs": ["text"], "label": "label"}
    with pytest.raises(DataError) as caught:
        read_rows(TokenClassification(), str(path), schema, None, say=Console(quiet=True))
    assert ("--on_error=skip" in caught.value.valid) == advised
