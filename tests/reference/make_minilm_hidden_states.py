"""Makes the reference hidden states that the tests compare with.

They come from Transformers on PyTorch, which tfft itself never needs. Made once, by hand:

    python3 -m venv reference_env
    reference_env/bin/pip install torch==2.13.0 transformers==5.23.0
    tfft fetch minilm_l6
    reference_env/bin/python tests/reference/make_minilm_hidden_states.py FOLDER_OF_MINILM_L6

It writes minilm_hidden_states.json and tiny_hidden_states.json beside itself: of the output of the
embeddings and of every layer, for every token, the first values and the sum of all.
"""

from __future__ import annotations

import json
import pathlib
import sys
import tempfile

import torch
import transformers
import transformers_folders

HERE = pathlib.Path(__file__).parent
SENTENCES = [
    "The second act drags, but what a finish!",
    "Not one joke in it works.",
    "Café scenes, shot at 5 a.m., feel strangely unhurried; the Ωmega subplot does not.",
]
# Ids for the tiny models: two texts, the second padded.
TINY_IDS = [[2, 17, 299, 45, 8, 120, 3], [2, 61, 5, 3]]


def hidden_states(model, rows: list[list[int]], first: int, pad: int) -> list[dict]:
    """Returns, for each row: its ids, and per layer and token the first values and the sum."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    with torch.no_grad():
        outputs = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    return [
        {
            "ids": row,
            "layers": [
                [[round(x, 6) for x in (*token[:first].tolist(), token.sum().item())]
                 for token in layer[i, : len(row)]]
                for layer in outputs.hidden_states
            ],
        }
        for i, row in enumerate(rows)
    ]  # fmt: skip


def save(name: str, content: dict) -> None:
    """Writes a file beside this one, with the versions that made it."""
    made = {"torch": torch.__version__, "transformers": transformers.__version__}
    text = json.dumps({"made_with": made, **content}, ensure_ascii=False)
    (HERE / name).write_text(text.replace("]], [[", "]],\n[[") + "\n", "utf-8")


def minilm(folder: str) -> dict:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    rows = [tokenizer(text)["input_ids"] for text in SENTENCES]
    return {"sentences": SENTENCES, "first": 6, "rows": hidden_states(model, rows, 6, 0)}


def tiny(kind: str) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        transformers_folders.write(pathlib.Path(folder), kind)
        model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    held = {k: tuple(v.shape) for k, v in model.state_dict().items() if "_ids" not in k}
    assert held == transformers_folders.shapes(kind), (kind, held)
    pad = transformers_folders.CONFIGS[kind]["pad_token_id"]
    return hidden_states(model, TINY_IDS, 4, pad)


if __name__ == "__main__":
    save("minilm_hidden_states.json", minilm(sys.argv[1]))
    kinds = transformers_folders.CONFIGS
    save("tiny_hidden_states.json", {"first": 4, "bodies": {kind: tiny(kind) for kind in kinds}})
