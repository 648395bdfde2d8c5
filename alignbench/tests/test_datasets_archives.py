"""Archives whose members have the same names: they are different images."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

from alignbench.datasets import load_mixed
from alignbench.tests.data_files import png

if TYPE_CHECKING:
    from pathlib import Path


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_members_of_the_same_name_are_different_images(tmp_path: Path) -> None:
    for shard in range(2):
        members = {
            name: content
            for i in range(3)
            for name, content in (
                (f"{i}.png", png((i, shard, 9))),
                (f"{i}.txt", f"text {shard} {i}".encode()),
            )
        }
        write_archive(tmp_path / f"shard-{shard}.tar", members)
    samples = load_mixed(None, root=tmp_path).samples
    assert [sample.texts for sample in samples] == [
        (f"text {shard} {i}",) for shard in (0, 1) for i in range(3)
    ]
    assert len({sample.image_digest for sample in samples}) == len({sample.id for sample in samples}) == 6
    assert [len(load_mixed(n, root=tmp_path)) for n in range(1, 7)] == [1, 2, 3, 4, 5, 6]
