"""The same 40 drawings with their texts, written in the layouts in which people keep images with texts.

Each writer of `LAYOUTS` takes a folder and the drawings, and returns what a user points at. A drawing's
texts are its first one, or all of them where a layout is written with `several`.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import tarfile
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from alignbench.config import load_config
from alignbench.datasets.synthetic import Synthetic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

KINDS = ("chart", "document", "shapes", "table")  # in the order of the alphabet, as folders are read
EACH = 10
COUNT = len(KINDS) * EACH
TREE_TYPES = ("chart", "table", "visualization", "text", "math")
QUESTION = "Describe the image."


class Drawing(NamedTuple):
    """An image with its texts."""

    name: str
    kind: str
    content: bytes
    texts: tuple[str, ...]

    @property
    def stem(self) -> str:
        return self.name.removesuffix(".png")

    @property
    def text(self) -> str:
        return self.texts[0]


@cache
def drawings() -> tuple[Drawing, ...]:
    """Return 40 drawings of four types; their texts have commas, semicolons and all kinds of quotes."""
    made = []
    for kind in KINDS:
        samples = Synthetic(seed=7, types=(kind,)).dataset(EACH).samples
        made += [
            Drawing(f"{kind}_{i:02}.png", kind, sample.image_bytes(), _awkward(i, sample.texts[:2]))
            for i, sample in enumerate(samples)
        ]
    return tuple(made)


def _awkward(i: int, texts: Sequence[str]) -> tuple[str, ...]:
    first, second = texts
    ways = (
        f'"Quoted" first; then, after commas, this: {first}',
        f"한국어 설명, émigré — {first}",
        f'"An opening quote that nobody closes; {first}',
        f"a | bar, and a #1 \\ {first}",
        first,
    )
    return (ways[i % len(ways)], second)


def _images(
    folder: Path, of: Iterable[Drawing], name: Callable[[Drawing], str] = lambda one: one.name
) -> None:
    for one in of:
        path = folder / name(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.content)


def _json_lines(file: Path, records: Iterable[Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    file.write_text(text, encoding="utf-8", newline="")
    return file


def _json_file(file: Path, content: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return file


def write_csv(file: Path, rows: Iterable[Sequence[Any]], **options: Any) -> Path:
    """Write rows as CSV; `options` are those of `csv.writer`, and the `encoding`."""
    encoding = options.pop("encoding", "utf-8")
    with file.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, **{"lineterminator": "\n", **options}).writerows(rows)
    return file


def messages(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "images", of)
    _json_lines(folder / "labels.jsonl", (_own_message(one) for one in of))
    return folder


def _own_message(one: Drawing) -> dict[str, Any]:
    asked = [{"type": "image", "image": one.name}, {"type": "text", "text": QUESTION}]
    said = [{"type": "text", "text": one.text}]
    return {
        "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}],
        "wordings": list(one.texts[1:]),
    }


def llama_factory(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "pictures", of)
    records = (
        {
            "messages": [
                {"role": "user", "content": f"<image>{QUESTION}"},
                {"role": "assistant", "content": one.text},
            ],
            "images": [f"pictures/{one.name}"],
        }
        for one in of
    )
    return _json_file(folder / "mllm_demo.json", list(records))


def openai(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder, of)
    records = (
        {
            "messages": [
                {"role": "system", "content": "You describe images."},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": QUESTION},
                        {"type": "image_url", "image_url": {"url": one.name, "detail": "low"}},
                    ],
                },
                {"role": "assistant", "content": one.text},
            ]
        }
        for one in of
    )
    return _json_lines(folder / "train.jsonl", records)


def _conversation(one: Drawing, image: str) -> dict[str, Any]:
    return {
        "id": one.stem,
        "image": image,
        "conversations": [
            {"from": "human", "value": f"{QUESTION}\n<image>"},
            {"from": "gpt", "value": one.text},
        ],
    }


def llava(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "images", of, lambda one: f"00000/{one.name}")
    return _json_file(folder / "chat.json", [_conversation(one, f"00000/{one.name}") for one in of])


def sharegpt4v(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "coco" / "train2017", of)
    records = (_conversation(one, f"coco/train2017/{one.name}") for one in of)
    return _json_lines(folder / "sharegpt4v.jsonl", records)


def coco(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "train2017", of)
    (folder / "val2017").mkdir()
    images = [{"id": 7 * i, "file_name": one.name} for i, one in enumerate(of, 1)]
    pairs = [(7 * i, text) for i, one in enumerate(of, 1) for text in one.texts]
    annotations = [{"id": i, "image_id": of, "caption": text} for i, (of, text) in enumerate(pairs)]
    content = {"info": {}, "licenses": [], "images": images, "annotations": annotations}
    _json_file(folder / "annotations" / "captions_train2017.json", content)
    return folder


def karpathy(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "val2014", of)
    images = [
        {
            "filepath": "val2014",
            "filename": one.name,
            "imgid": i,
            "split": "test",
            "sentences": [{"raw": text, "tokens": text.split(), "imgid": i} for text in one.texts],
            "cocoid": 391895 + i,
        }
        for i, one in enumerate(of)
    ]
    return _json_file(folder / "dataset_coco.json", {"images": images, "dataset": "coco"})


def flickr_captions(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "Images", of)
    write_csv(
        folder / "captions.txt", [("image", "caption"), *((a.name, text) for a in of for text in a.texts)]
    )
    return folder


def flickr_tokens(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "Flicker8k_Dataset", of)
    numbered = ((one.name, i, text) for one in of for i, text in enumerate(one.texts))
    content = "".join(f"{name}#{i}\t{text}\n" for name, i, text in numbered)
    (folder / "Flickr8k.token.txt").write_text(content, encoding="utf-8")
    return folder


def csv_table(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder / "images", of)
    rows = [
        ("image_path", "type", "caption"),
        *((f"images/{a.name}", a.kind, t) for a in of for t in a.texts),
    ]
    return write_csv(folder / "pairs.csv", rows)


def tsv_base64(folder: Path, of: Sequence[Drawing]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [("index", "image", "question", "answer", "category")]
    rows += [
        (str(i), base64.b64encode(one.content).decode(), QUESTION, one.text, one.kind)
        for i, one in enumerate(of)
    ]
    return write_csv(folder / "MyBench.tsv", rows, delimiter="\t")


def metadata(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder, of)
    records = (
        {"file_name": one.name, "text": one.text if len(one.texts) == 1 else list(one.texts)} for one in of
    )
    _json_lines(folder / "metadata.jsonl", records)
    return folder


def class_folders(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder, of, lambda one: f"{one.kind}/{one.name}")
    _sidecars(folder, of, lambda one: f"{one.kind}/{one.stem}.txt")
    return folder


def sidecars(folder: Path, of: Sequence[Drawing]) -> Path:
    _images(folder, of)
    _sidecars(folder, of, lambda one: f"{one.stem}.txt")
    return folder


def _sidecars(folder: Path, of: Sequence[Drawing], name: Callable[[Drawing], str]) -> None:
    for one in of:
        (folder / name(one)).write_text("\n".join(one.texts) + "\n", encoding="utf-8")


def parquet(folder: Path, of: Sequence[Drawing]) -> Path:
    """Four shards with Hugging Face's struct for images."""
    (folder / "data").mkdir(parents=True)
    for shard in range(4):
        part = of[len(of) * shard // 4 : len(of) * (shard + 1) // 4]
        write_parquet(folder / "data" / f"train-{shard:05}-of-00004.parquet", part)
    return folder


def write_parquet(file: Path, of: Sequence[Drawing]) -> Path:
    import pyarrow
    from pyarrow import parquet as files

    table = {
        "image": [{"bytes": one.content, "path": "image.png"} for one in of],
        "caption": [list(one.texts) for one in of],
        "type": [one.kind for one in of],
    }
    files.write_table(pyarrow.table(table), file)
    return file


def saved(folder: Path, of: Sequence[Drawing]) -> Path:
    """What `save_to_disk` of Hugging Face's `datasets` writes, with a column of class labels."""
    import datasets

    features = datasets.Features(
        image=datasets.Image(),
        captions=datasets.Sequence(datasets.Value("string")),
        label=datasets.ClassLabel(names=list(KINDS)),
    )
    records = {
        "image": [{"bytes": one.content, "path": None} for one in of],
        "captions": [list(one.texts) for one in of],
        "label": [one.kind for one in of],
    }
    datasets.disable_progress_bars()
    datasets.Dataset.from_dict(records, features=features).save_to_disk(str(folder / "saved"))
    return folder / "saved"


def webdataset(folder: Path, of: Sequence[Drawing]) -> Path:
    """Two archives; the texts are in a .txt, or in a .json where there are several."""
    folder.mkdir(parents=True, exist_ok=True)
    half = len(of) // 2
    write_tar(folder / "shard-000000.tar", of[:half])
    write_tar(folder / "shard-000001.tar", of[half:])
    return folder / "shard-{000000..000001}.tar"


def write_tar(file: Path, of: Sequence[Drawing]) -> Path:
    with tarfile.open(file, "w") as archive:
        for one in of:
            label = one.text if len(one.texts) == 1 else json.dumps({"caption": list(one.texts)})
            suffix = "txt" if len(one.texts) == 1 else "json"
            add(archive, one.name, one.content)
            add(archive, f"{one.stem}.{suffix}", label.encode())
            add(archive, f"{one.stem}.cls", one.kind.encode())
            if suffix == "txt":
                add(archive, f"{one.stem}.json", json.dumps({"key": one.stem, "width": 64}).encode())
    return file


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def tree(folder: Path, of: Sequence[Drawing]) -> Path:
    """The toolkit's tree; its five types take the drawings in turn, in their order."""
    places = load_config().data
    for i, kind in enumerate(places):
        part = of[len(of) * i // len(places) : len(of) * (i + 1) // len(places)]
        _images(folder / places[kind].images, part)
        _json_lines(folder / places[kind].labels, (_own_message(one) for one in part))
    return folder


LAYOUTS: dict[str, Any] = {
    of.__name__: of
    for of in (
        *(messages, llama_factory, openai, llava, sharegpt4v, coco, karpathy, flickr_captions),
        *(flickr_tokens, csv_table, tsv_base64, metadata, class_folders, sidecars, parquet, saved),
        *(webdataset, tree),
    )
}
"""Name -> the function that writes the layout and returns what to point at."""

SEVERAL = (
    *("messages", "coco", "karpathy", "flickr_captions", "flickr_tokens", "csv_table", "metadata"),
    *("class_folders", "sidecars", "parquet", "saved", "webdataset", "tree"),
)
"""The layouts that can have several texts for an image."""


def one_text(of: Iterable[Drawing]) -> list[Drawing]:
    return [one._replace(texts=one.texts[:1]) for one in of]
