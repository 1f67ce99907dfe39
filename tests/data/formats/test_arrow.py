"""Data sets of Hugging Face's `datasets` on disk, in the layout that its version 5 writes."""

import json

import pyarrow
import pytest

from tfft.data.inputs import names_of
from tfft.data.sources.conll import conll
from tfft.data.sources.files import files, read
from tfft.errors import DataError
from tfft.tasks.text.multi_label_classification import MultiLabelClassification
from tfft.tasks.text.question_answering import QuestionAnswering
from tfft.tasks.text.token_classification import TokenClassification

CLASSES = {"names": ["negative", "positive"], "_type": "ClassLabel"}
TEXT = {"dtype": "string", "_type": "Value"}


def save(folder, rows, features, shards=1):
    """Writes rows as `Dataset.save_to_disk` does."""
    folder.mkdir(parents=True)
    table = pyarrow.Table.from_pylist(rows)
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = table.replace_schema_metadata(about)
    names = [f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
    size = -(-len(table) // shards)
    for i, name in enumerate(names):
        with pyarrow.ipc.new_stream(folder / name, table.schema) as writer:
            writer.write_table(table.slice(i * size, size), max_chunksize=7)
    state = {"_data_files": [{"filename": name} for name in names], "_split": None}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
    return folder


def reviews(count, first=0):
    return [{"text": f"film {first + i}", "label": i % 2} for i in range(count)]


FEATURES = {"text": TEXT, "label": CLASSES}


def test_numbers_of_classes_are_read_by_their_names(tmp_path):
    folder = save(tmp_path / "one", reviews(90), FEATURES, shards=2)
    source = files(str(folder), validation_share=0, test_share=0.3)
    found = [row for split in source.splits for row in source.rows(split)]
    names = CLASSES["names"]
    assert sorted(found) == sorted((f"film {i}", names[i % 2]) for i in range(90))
    assert source.notes[0].startswith(f"{folder}: 90 rows, text in column 'text'")


def test_a_folder_of_splits(tmp_path):
    save(tmp_path / "both/train", reviews(40), FEATURES)
    save(tmp_path / "both/validation", reviews(10, 100), FEATURES)
    save(tmp_path / "both/test", reviews(12, 200), FEATURES)
    (tmp_path / "both/dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    source = files(str(tmp_path / "both"))
    assert [source.size(split) for split in ("train", "validation", "test")] == [40, 10, 12]
    assert not any("not read" in note for note in source.notes)


def test_a_file_of_either_arrow_format(tmp_path):
    table = pyarrow.Table.from_pylist(
        [{"text": f"film {i}", "label": "ab"[i % 2]} for i in range(30)]
    )
    for new, name in ((pyarrow.ipc.new_file, "file.arrow"), (pyarrow.ipc.new_stream, "s.arrow")):
        with new(tmp_path / name, table.schema) as writer:
            writer.write_table(table)
        source = files(str(tmp_path / name), validation_share=0, test_share=0)
        assert source.size("train") == 30 and source.labels == ("a", "b")


@pytest.mark.parametrize("kind", [pyarrow.large_string(), pyarrow.int64()])
def test_categories_take_what_their_rows_name(kind, tmp_path):
    names = pyarrow.array(range(2000), pyarrow.int64()).cast(kind)
    numbers = pyarrow.array([i % 2000 for i in range(60_000)], pyarrow.int32())
    labels = pyarrow.DictionaryArray.from_arrays(numbers, names)
    table = pyarrow.table({"text": [f"film {i}" for i in range(60_000)], "label": labels})
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    found = read(str(tmp_path / "a.arrow"))
    assert found.labels[1999:2002] == ["1999", "0", "1"]


def test_answers_to_questions_are_objects(tmp_path):
    rows = [
        {
            "question": f"who is {i}",
            "context": f"Ada {i} is here",
            "answers": {"text": ["Ada"], "answer_start": [0]},
        }
        for i in range(20)
    ]
    spans = {"text": {"feature": TEXT, "_type": "List"}, "answer_start": {"_type": "List"}}
    folder = save(tmp_path / "qa", rows, {"question": TEXT, "context": TEXT, "answers": spans})
    inputs = names_of(QuestionAnswering.inputs)
    source = files(
        str(folder), text=inputs, label="answers", classes=False, validation_share=0, test_share=0
    )
    question, context, answer = next(iter(source.rows("train")))
    assert json.loads(answer) == {"text": ["Ada"], "answer_start": [0]}
    assert (question, context) == ("who is 0", "Ada 0 is here")


@pytest.mark.parametrize("form", ["arrow", "jsonl"])
def test_lists_of_words_and_tags(tmp_path, form):
    names = ["O", "B-person", "I-person"]
    rows = [
        {"tokens": ["Ada", "Byron", "came", str(i)], "ner_tags": [1, 2, 0, 0], "id": str(i)}
        for i in range(20)
    ]
    if form == "arrow":
        tags = {"feature": {"names": names, "_type": "ClassLabel"}, "_type": "Sequence"}
        path = save(tmp_path / "tags", rows, {"tokens": {"_type": "Sequence"}, "ner_tags": tags})
    else:
        path = tmp_path / "tags.jsonl"
        lines = [{**row, "ner_tags": [names[t] for t in row["ner_tags"]]} for row in rows]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = conll(str(path), validation_share=0, test_share=0)
    assert list(source.rows("train")) == [
        (f"Ada Byron came {i}", '[[0, 9, "person"]]') for i in range(20)
    ]
    task = TokenClassification().with_training_answers(source.label_counts("train"))
    assert task.target.labels == ("person",)
    named = conll(str(path), word="tokens", tag="ner_tags", validation_share=0, test_share=0)
    assert named.fingerprint() == source.fingerprint()
    with pytest.raises(DataError, match="no column 'tag'"):
        conll(str(path), tag="tag")


def test_lists_that_do_not_fit(tmp_path):
    path = tmp_path / "tags.jsonl"
    path.write_text('{"tokens": ["a", "b"], "tags": ["O", "O"]}\n{"tokens": ["a"], "tags": []}\n')
    with pytest.raises(DataError, match="no two lists of the same length") as caught:
        conll(str(path))
    assert caught.value.set_in == f"{path}:2"
    path.write_text('{"tokens": ["a"], "tags": ["X"]}\n')
    with pytest.raises(DataError, match="the tag 'X' is none"):
        conll(str(path))


def test_what_is_broken_is_named(tmp_path):
    folder = save(tmp_path / "one", reviews(20), FEATURES)
    (folder / "data-00000-of-00001.arrow").write_bytes(b"nothing")
    with pytest.raises(DataError, match="not readable Arrow"):
        files(str(folder))
    state = {"_data_files": [{"filename": "a.arrow"}], "_indices_data_files": [{"filename": "i"}]}
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(DataError, match="another order"):
        files(str(folder))
    (folder / "state.json").write_text("{}")
    with pytest.raises(DataError, match="state.json cannot be read"):
        files(str(folder))


def test_secret_labels_are_missing_labels(tmp_path):
    folder = save(tmp_path / "one", [{"text": "film", "label": -1}, *reviews(9)], FEATURES)
    with pytest.raises(DataError, match="1 of 10 rows .* have no label"):
        files(str(folder))


@pytest.mark.parametrize("number", [2, 5, -2, -5])
def test_a_number_without_a_name_is_refused(tmp_path, number):
    rows = [*reviews(9), {"text": "film", "label": number}, *reviews(9)]
    folder = save(tmp_path / "one", rows, FEATURES, shards=2)
    with pytest.raises(DataError) as caught:
        files(str(folder))
    problem = f"'label' is the number {number} of a ClassLabel with 2 names"
    assert problem in caught.value.problem
    assert caught.value.set_in == f"{folder}, row 10"
    assert caught.value.valid == "0 to 1, the numbers of its names, or -1 for no label"


def test_a_number_without_a_name_within_a_list_is_refused(tmp_path):
    names = {"names": ["O", "B-person", "I-person"], "_type": "ClassLabel"}
    features = {"tokens": {"_type": "Sequence"}, "ner_tags": {"feature": names, "_type": "List"}}
    for wrong in (3, -2):
        rows = [{"tokens": ["a", "b"], "ner_tags": [0, 1]}, {"tokens": ["a"], "ner_tags": [wrong]}]
        folder = save(tmp_path / f"tags{wrong}", rows, features)
        with pytest.raises(DataError, match="a ClassLabel with 3 names") as caught:
            conll(str(folder))
        assert caught.value.set_in == f"{folder}, row 2"


@pytest.mark.parametrize(
    "features", [b"[1]", b"{", b'{"info": {"features": {"label": []}}}', b'{"info": [1]}']
)
def test_metadata_that_cannot_be_read(tmp_path, features):
    table = pyarrow.table({"text": ["a"], "label": [0]})
    table = table.replace_schema_metadata({b"huggingface": features})
    with pyarrow.ipc.new_file(tmp_path / "a.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match="metadata of Hugging Face's datasets"):
        files(str(tmp_path / "a.arrow"))


def test_values_that_do_not_fit_their_features(tmp_path):
    for value in ("positive", [1], True):
        folder = save(tmp_path / f"{value}", [{"text": "film", "label": value}], FEATURES)
        with pytest.raises(DataError) as caught:
            files(str(folder))
        assert caught.value.set_in == f"{folder}, row 1"


def test_lists_of_classes_are_several_labels(tmp_path):
    features = {"text": TEXT, "label": {"feature": CLASSES, "_type": "Sequence"}}
    rows = [{"text": f"film {n}", "label": [0, 1][: n % 3]} for n in range(30)]
    folder = save(tmp_path / "several", rows, features)
    shares = {"validation_share": 0, "test_share": 0}
    source = files(str(folder), classes=False, **shares)
    counts = source.label_counts("train")
    task = MultiLabelClassification().with_training_answers(counts)
    assert task.target.label_counts(counts) == {"negative": 20, "positive": 10, "(no label)": 10}
    hidden = save(tmp_path / "hidden", [*rows, {"text": "a", "label": [-1]}], features)
    source = files(str(hidden), classes=False, **shares)
    with pytest.raises(DataError, match="null in its list"):
        MultiLabelClassification().with_training_answers(source.label_counts("train"))
