"""A draw of 1,000 samples from a large data set: seconds and memory, beside reading the file alone.

Every format holds the same rows, each with an image of its own. Each measurement runs in a process of its
own; reading alone is what the library of the format takes to parse every row and to do nothing with it.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from PIL import Image

from alignbench.workshop.measure._memory import peak_mib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TYPES = ("chart", "table", "photo", "page")
PER_TYPE = 250
SHARDS = 100
MOST_RATIO, MOST_MIB = 3.0, 1024.0
SIDE = 16


def image(i: int) -> bytes:
    """Return a small PNG that differs from that of every other row."""
    stream = io.BytesIO()
    pixels = random.Random(i).randbytes(3 * SIDE) * SIDE
    Image.frombytes("RGB", (SIDE, SIDE), pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def name_of(i: int) -> str:
    """Return the name of a row's image."""
    return f"{TYPES[i % len(TYPES)]}/{i // 1000:04}/{i:07}.png"


def caption_of(i: int) -> str:
    """Return the text of a row."""
    return f"Sample {i}: a pattern of coloured stripes, as it was drawn for the row with this number."


def write_csv(folder: Path, order: Sequence[int]) -> None:
    """Write a table of names and captions."""
    with (folder / "captions.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "caption"])
        writer.writerows((name_of(i), caption_of(i)) for i in order)


def write_jsonl(folder: Path, order: Sequence[int]) -> None:
    """Write lines of the `messages` format."""
    with (folder / "labels.jsonl").open("w", encoding="utf-8") as stream:
        for i in order:
            asked = [{"type": "image", "image": name_of(i)}, {"type": "text", "text": "What is shown?"}]
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": caption_of(i)}]
            stream.write(json.dumps({"id": str(i), "messages": turns}) + "\n")


def write_parquet(folder: Path, order: Sequence[int]) -> None:
    """Write one Parquet file that holds the images, as on the Hugging Face Hub."""
    import pyarrow
    from pyarrow import parquet

    image_type = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    schema = pyarrow.schema(
        [("image", image_type), ("caption", pyarrow.string()), ("type", pyarrow.string())]
    )
    with parquet.ParquetWriter(folder / "train.parquet", schema) as writer:
        for start in range(0, len(order), 10_000):
            rows = [
                {
                    "image": {"bytes": image(i), "path": name_of(i)},
                    "caption": caption_of(i),
                    "type": TYPES[i % len(TYPES)],
                }
                for i in order[start : start + 10_000]
            ]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema))


def write_tars(folder: Path, order: Sequence[int]) -> None:
    """Write archives with an image, a text and a type for each row."""
    size = -(-len(order) // SHARDS)
    for shard in range(SHARDS):
        with tarfile.open(folder / f"shard-{shard:04}.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
            for i in order[shard * size : (shard + 1) * size]:
                kind = TYPES[i % len(TYPES)].encode()
                for suffix, content in (("png", image(i)), ("txt", caption_of(i).encode()), ("cls", kind)):
                    member = tarfile.TarInfo(f"{i:07}.{suffix}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))


def read_csv(folder: Path) -> Iterator[object]:
    """Parse the rows of a CSV file."""
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as stream:
        yield from csv.reader(stream)


def read_jsonl(folder: Path) -> Iterator[object]:
    """Parse the lines of a JSONL file."""
    with (folder / "labels.jsonl").open("rb") as stream:
        yield from map(json.loads, stream)


def read_parquet(folder: Path) -> Iterator[object]:
    """Convert the rows of a Parquet file to objects of Python."""
    from pyarrow import parquet

    for batch in parquet.ParquetFile(folder / "train.parquet").iter_batches(batch_size=256):
        yield from batch.to_pylist()


def read_tars(folder: Path) -> Iterator[object]:
    """Read the texts of the archives, and pass over the images."""
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                archive.members.clear()  # type: ignore[attr-defined] # tarfile keeps all of them
                if not member.name.endswith(".png"):
                    stream = archive.extractfile(member)
                    yield stream and stream.read()


WRITERS: dict[str, Callable[[Path, Sequence[int]], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
    "tar": write_tars,
}
READERS: dict[str, Callable[[Path], Iterator[object]]] = {
    "csv": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "tar": read_tars,
}


def work(what: str, kind: str, folder: Path) -> dict[str, object]:
    """Read a data set alone, or draw samples from it; return what that took."""
    from alignbench.datasets import Layout, load_mixed

    start, ids = time.process_time(), []
    if what == "read":
        count = sum(1 for _ in READERS[kind](folder))
    else:
        layout = Layout(image_root=folder.parent / "images")
        most = PER_TYPE * len(TYPES) if kind == "csv" else PER_TYPE  # this table has no types
        data = load_mixed(most, root=folder, layout=layout)
        count, ids = data.rows or 0, sorted(sample.text for sample in data.samples)
    seconds = time.process_time() - start
    return {"seconds": seconds, "mib": peak_mib(), "rows": count, "ids": zlib.crc32(repr(ids).encode())}


def measured(what: str, kind: str, folder: Path) -> dict[str, float]:
    """Return what a process of its own took."""
    command = [sys.executable, "-m", "alignbench.measure", "rows", "--worker", what, kind, str(folder)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def main(argv: list[str]) -> int:
    """Print a table of seconds, ratios and memory; the status is 1 if a bound does not hold."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure rows", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--formats", nargs="+", default=list(WRITERS), choices=WRITERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="where the data sets are written, and used again")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.worker:
        what, kind, folder = given.worker
        print(json.dumps(work(what, kind, Path(folder))))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        return _table(given.keep or Path(temporary), given.rows, given.formats, given.rounds)


def _table(place: Path, n: int, formats: Sequence[str], rounds: int) -> int:
    order = list(range(n))
    shuffled = random.Random(0).sample(order, n)
    if set(formats) & {"csv", "jsonl"}:
        _write_images(place / "images", n)
    print(
        f"| format | rows | reading alone, CPU s | draw of {PER_TYPE * len(TYPES):,}, CPU s | ratio "
        "| memory of reading, MiB | of the draw, MiB | the same draw after shuffling |"
    )
    print("|---|---|---|---|---|---|---|---|")
    failed = False
    for kind in formats:
        folders = [place / kind, place / f"{kind}-shuffled"]
        for folder, rows in zip(folders, (order, shuffled), strict=True):
            if not folder.exists():
                folder.mkdir(parents=True)
                WRITERS[kind](folder, rows)
        reads, draws = [], []
        for _ in range(rounds):
            reads.append(measured("read", kind, folders[0]))
            draws.append(measured("draw", kind, folders[0]))
        alone, drawn = (median(of["seconds"] for of in results) for results in (reads, draws))
        memory = max(of["mib"] for of in draws)
        same = measured("draw", kind, folders[1])["ids"] == draws[0]["ids"]
        print(
            f"| {kind} | {n:,} | {alone:.1f} | {drawn:.1f} | {drawn / alone:.2f} "
            f"| {reads[0]['mib']:.0f} | {memory:.0f} | {'yes' if same else 'NO'} |",
            flush=True,
        )
        failed |= drawn > MOST_RATIO * alone or memory > MOST_MIB or not same
    return int(failed)


def _write_images(folder: Path, n: int) -> None:
    for i in range(n):
        path = folder / name_of(i)
        if i % 1000 < len(TYPES):
            path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(image(i))
