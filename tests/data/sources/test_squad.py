"""SQuAD's JSON, made here: what is read, how it is split, and what is refused."""

import json

import pytest

from tfft.data.sources.squad import squad
from tfft.errors import ConfigError, DataError
from tfft.tasks import encoding
from tfft.tasks.text.question_answering import QuestionAnswering


def article(number, impossible=False, questions=2):
    """Returns an article of one paragraph, with questions for its number."""
    context = f"😀 Article {number} é stands here."
    found = {"text": str(number), "answer_start": context.index(str(number))}
    qas = []
    for asked in range(questions):
        entry = {"id": f"{number}-{asked}", "question": f"Which one, {number} {asked}?"}
        if impossible and asked:
            entry |= {"is_impossible": True, "answers": [], "plausible_answers": [found]}
        else:
            entry |= {"answers": [found, found]}
            entry |= {"is_impossible": False} if impossible else {}
        qas.append(entry)
    return {"title": f"title {number}", "paragraphs": [{"context": context, "qas": qas}]}


def write(path, articles):
    path.write_text(json.dumps({"version": "v", "data": articles}), "utf-8")
    return str(path)


def test_an_article_is_in_one_split(tmp_path):
    path = write(tmp_path / "a.json", [article(n) for n in range(60)])
    found = squad(path, validation_share=0.2, test_share=0.2)
    assert found.splits == ("train", "validation", "test")
    titles = [set(found.columns(split)["title"]) for split in found.splits]
    assert sum(map(len, titles)) == len(set.union(*titles)) == 60
    assert sum(found.size(split) for split in found.splits) == 120
    encoding.check(QuestionAnswering(), found)
    question, context, answer = next(iter(found.rows("train")))
    start = json.loads(answer)["answer_start"][0]
    assert json.loads(answer) == {"text": [question.split()[2]], "answer_start": [start]}
    assert context[start:].startswith(question.split()[2])
    assert found.notes[0] == "train: 120 questions, on 60 paragraphs of 60 articles"
    assert [found.size(split) for split in found.splits] == [72, 24, 24]
    assert "rows of the same 'title'" in found.notes[-1]
    by = squad(path, group="context", columns=(), validation_share=0.2, test_share=0.2)
    assert "rows of the same 'context'" in by.notes[-1] and not by.columns("train")


def test_files_of_their_own_and_questions_without_an_answer(tmp_path):
    train = write(tmp_path / "a.json", [article(n, True) for n in range(10)])
    held = write(tmp_path / "b.json", [article(9, True), article(10, True)])
    found = squad(train, test=held, validation_share=0.0)
    assert found.splits == ("train", "test") and found.size("test") == 4
    assert found.size("train") == 18  # article 9 is the test's
    assert found.label_counts("test")['{"text": [], "answer_start": []}'] == 2
    assert "10 of them without an answer" in found.notes[0]
    assert any("2 rows of train dropped" in note for note in found.notes)
    other = article(9)
    other["paragraphs"][0]["context"] += " More."
    held = write(tmp_path / "c.json", [other])
    notes = squad(train, test=held, validation_share=0.0).notes
    assert "train and test share 1 value of 'title': 'title 9'" in notes


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda a: a.pop("title"), "'title' is None"),
        (lambda a: a.pop("paragraphs"), "called 'paragraphs'"),
        (lambda a: a["paragraphs"][0].update(qas="no"), "called 'qas'"),
        (lambda a: a["paragraphs"][0]["qas"][0].update(question=3), "'question' is 3"),
        (lambda a: a["paragraphs"][0]["qas"][0].update(answers=[]), "possible has no answers"),
        (
            lambda a: a["paragraphs"][0]["qas"][0].update(is_impossible=True),
            "impossible has 2 answers",
        ),
        (
            lambda a: a["paragraphs"][0]["qas"][0]["answers"][0].update(answer_start="3"),
            "answer_start '3'",
        ),
        (
            lambda a: a["paragraphs"][0]["qas"][0]["answers"][0].update(answer_start=-2),
            "answer_start -2",
        ),
    ],
)
def test_what_is_wrong_in_a_file_is_told(tmp_path, change, message):
    articles = [article(n) for n in range(2)]
    change(articles[1])
    path = write(tmp_path / "a.json", articles)
    with pytest.raises(DataError, match=message) as caught:
        squad(path)
    assert caught.value.set_in.startswith(f"{path}, article 2")


def test_what_is_no_file_of_squad_is_told(tmp_path):
    (tmp_path / "a.json").write_text("[")
    for path in (tmp_path / "a.json", tmp_path / "none.json"):
        with pytest.raises(DataError, match="cannot be read"):
            squad(str(path))
    path = write(tmp_path / "b.json", [])
    with pytest.raises(DataError, match="no examples|too small"):
        squad(path)
    path = write(tmp_path / "c.json", [article(1)])
    with pytest.raises(ConfigError, match="group must be"):
        squad(path, group="id")
    with pytest.raises(DataError, match="no column 'id'"):
        squad(path, columns=("id",))
