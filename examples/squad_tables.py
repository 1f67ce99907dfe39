"""What else a file of questions on paragraphs can teach: pairs, retrieval, multiple choice.

It reads a JSON of SQuAD's format and writes three JSONL files with a column `title`, by which the
splits are made, so that no article is in two of them:

    FOLDER/pairs.jsonl      text, text_pair, label: does this paragraph answer this question? Once
                            its own one, and once another paragraph of the same article.
    FOLDER/retrieval.jsonl  text, text_pair: a question and its paragraph.
    FOLDER/choices.jsonl    question, choices, label: the sentence of the paragraph that holds the
                            answer, among up to three others of the same paragraph.

    python examples/squad_tables.py FILE.json FOLDER
"""

import json
import pathlib
import random
import re
import sys

SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[\"'(]?[A-Z0-9])")
MOST_CHOICES = 4


def sentences(context: str) -> list[tuple[int, str]]:
    """Returns where each sentence begins, and the sentence."""
    starts = [0, *(match.end() for match in SENTENCE.finditer(context))]
    return [(a, context[a:b].strip()) for a, b in zip(starts, [*starts[1:], None], strict=True)]


def choices(question: dict, context: str, rng: random.Random) -> dict | None:
    """Returns the question with sentences to choose from; None where there is only one."""
    answer = question["answers"][0]
    begin, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
    parts = sentences(context)
    right = max(i for i, (start, _) in enumerate(parts) if start <= begin)
    if end > parts[right][0] + len(parts[right][1]) or len(parts) < 2:
        return None
    others = [i for i in range(len(parts)) if i != right]
    shown = sorted([right, *rng.sample(others, min(MOST_CHOICES - 1, len(others)))])
    given = {"question": question["question"], "choices": [parts[i][1] for i in shown]}
    return given | {"label": shown.index(right)}


def main(file: str, folder: str) -> None:
    rng, room = random.Random(0), pathlib.Path(folder)
    room.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict]] = {"pairs": [], "retrieval": [], "choices": []}
    left_out = 0
    for article in json.loads(pathlib.Path(file).read_text("utf-8"))["data"]:
        title, contexts = article["title"], [each["context"] for each in article["paragraphs"]]
        for paragraph in article["paragraphs"]:
            own = paragraph["context"]
            others = [context for context in contexts if context != own]
            for question in paragraph["qas"]:
                pair = {"title": title, "text": question["question"], "text_pair": own}
                rows["retrieval"].append(pair)
                rows["pairs"].append(pair | {"label": "answers"})
                if others:
                    other = {"text_pair": rng.choice(others), "label": "does not"}
                    rows["pairs"].append(pair | other)
                chosen = choices(question, own, rng)
                left_out += chosen is None
                rows["choices"] += [{"title": title} | chosen] if chosen else []
    for name, part in rows.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in part]
        (room / f"{name}.jsonl").write_text("".join(lines), "utf-8")
        print(f"{len(part):,} rows in {room / name}.jsonl")
    print(f"{left_out:,} questions are no choice: one sentence, or an answer across two")


if __name__ == "__main__":
    main(*sys.argv[1:])
