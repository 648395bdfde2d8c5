"""The store of embeddings: what is read is what was written, whatever happened in between."""

from __future__ import annotations

import errno
import gc
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.embed import DamagedShardWarning, EmbeddingStore, Shelf, default_root
from alignbench.errors import AlignbenchWarning, ConfigError, InputError
from alignbench.tests.stores import KEY, assert_holds, index_of, items, shards, vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray


def found_in(shelf: Shelf, wanted: list[str]) -> dict[str, NDArray[np.float32]]:
    """Return what the shelf has, by item; it is the same whether it is read at once or in blocks."""
    stored = shelf.read(wanted)
    in_blocks = [row for block in shelf.blocks(wanted, 3) for row in (*block.there,)]
    assert stored.there.tolist() == in_blocks == shelf.holds(wanted).tolist()
    return {item: stored.values[i] for i, item in enumerate(wanted) if stored.there[i]}


def test_what_is_written_is_read_in_any_order_and_by_anybody(shelf: Shelf) -> None:
    assert_holds(shelf, 8)
    again = Shelf(shelf.folder)
    wanted = [items(8)[i] for i in (5, 0, 7)]
    assert again.read(wanted).values.tolist() == vectors(8)[[5, 0, 7]].tolist()


def test_what_is_not_there_is_missing(shelf: Shelf) -> None:
    assert set(found_in(shelf, items(12))) == set(items(8))
    assert found_in(shelf, []) == {}


def test_an_item_may_be_asked_for_twice(shelf: Shelf) -> None:
    wanted = [*items(3), *items(4, 2), *items(1, 9), *items(2)]
    stored = shelf.read(wanted)
    assert stored.there.tolist() == [True] * 7 + [False, True, True]
    assert stored.values[stored.there].tolist() == vectors(8)[[0, 1, 2, 2, 3, 4, 5, 0, 1]].tolist()


def test_vectors_of_more_axes_are_kept_as_they_are(tmp_path: Path) -> None:
    shelf = EmbeddingStore(tmp_path).shelf(KEY)
    patches = np.random.default_rng(0).normal(size=(3, 5, 2)).astype(np.float32)
    shelf.write(items(3), patches)
    assert np.array_equal(shelf.read(items(3)[1:2]).values, patches[1:2])
    shelf.write(items(1, 3), patches[:1, :2])
    with pytest.raises(InputError, match=r"differ in shape: \[\(2, 2\), \(5, 2\)\]"):
        shelf.read(items(4))


def test_keys_do_not_collide_and_their_order_does_not_matter(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    store.shelf({"a": 1, "b": 2}).write(items(1), vectors(1))
    assert store.shelf({"b": 2, "a": 1}).holds(items(1)).all()
    others = ({"a": 1, "b": 3}, {"a": 1}, {"a": "1", "b": 2}, {"a": 1, "b": 2, "c": None}, {"b": 1, "a": 2})
    assert not any(store.shelf(key).holds(items(1)).any() for key in others)


def test_the_key_can_be_read_by_a_person(shelf: Shelf) -> None:
    assert json.loads((shelf.folder / "key.json").read_text()) == {**KEY, "format": 2}


@pytest.mark.parametrize("where", [0, 7, 9, 60, -40, -1])
def test_a_flipped_byte_is_found_wherever_it_is(shelf: Shelf, where: int) -> None:
    assert_holds(shelf, 8)
    damaged = shards(shelf)[0]
    lost = set(index_of(shelf)[damaged.stem])
    content = bytearray(damaged.read_bytes())
    content[where] ^= 0x10
    damaged.write_bytes(bytes(content))

    with pytest.warns(DamagedShardWarning, match="is damaged"):
        found = Shelf(shelf.folder).read(items(8)).there

    assert {item for item, there in zip(items(8), found, strict=True) if not there} == lost
    assert len(lost) == 4
    assert damaged.with_suffix(".bad").exists()
    assert not damaged.exists()


@pytest.mark.parametrize("kept", [0, 5, 100])
def test_a_cut_off_shard_is_found(shelf: Shelf, kept: int) -> None:
    damaged = shards(shelf)[0]
    damaged.write_bytes(damaged.read_bytes()[:kept])
    with pytest.warns(DamagedShardWarning):
        assert shelf.read(items(8)).there.sum() == 4


def test_what_was_set_aside_is_written_anew(shelf: Shelf) -> None:
    for path in shards(shelf):
        path.write_bytes(b"\0" * 8)
    with pytest.warns(DamagedShardWarning):
        assert not shelf.read(items(8)).there.any()
    shelf.write(items(8), vectors(8))
    assert_holds(Shelf(shelf.folder), 8)


def test_writing_the_same_twice_is_one_shard(shelf: Shelf) -> None:
    shelf.write(items(4), vectors(4))
    assert len(shards(shelf)) == 2


def test_values_that_are_not_finite_are_never_written(shelf: Shelf) -> None:
    bad = vectors(2, 8)
    bad[1, 0] = np.nan
    with pytest.raises(InputError, match="finite"):
        shelf.write(items(2, 8), bad)
    with pytest.raises(InputError, match="for 3 items"):
        shelf.write(items(3, 8), vectors(2))
    assert len(shards(shelf)) == 2


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("alignbench.files.os.fsync", fsync)


def test_a_write_that_fails_leaves_nothing_behind(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(shelf.folder.iterdir())
    full(monkeypatch)
    with pytest.warns(AlignbenchWarning, match="No space left on device"):
        shelf.write(items(1, 8), vectors(1, 8))
    assert sorted(shelf.folder.iterdir()) == before
    assert_holds(shelf, 9)


def test_strays_are_swept_by_age(shelf: Shelf, tmp_path: Path) -> None:
    now = time.time()
    ages = {".tmp-1-old": 7200.0, ".tmp-2-young": 60.0, "a.bad": 8 * 86400.0, "b.bad": 7200.0}
    for name, age in ages.items():
        path = shelf.folder / name
        path.write_bytes(b"x")
        os.utime(path, (now - age, now - age))
    with EmbeddingStore(tmp_path).shelf(KEY).lock():
        pass
    assert {name for name in ages if (shelf.folder / name).exists()} == {".tmp-2-young", "b.bad"}
    assert_holds(shelf, 8)


def test_a_place_that_cannot_be_written_is_said_before_anything_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert not EmbeddingStore(tmp_path / "file").shelf(KEY).read(items(1)).there.any()
    with pytest.raises(ConfigError, match=r"can't be written.*ALIGNBENCH_CACHE.*--align-no-embedding-cache"):
        EmbeddingStore(tmp_path / "file").try_writing()


def test_a_full_disk_costs_one_warning_and_no_vector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = EmbeddingStore(tmp_path / "cache")
    store.try_writing()
    store.shelf(KEY).write(items(2), vectors(2))
    other = store.shelf({**KEY, "source": "b"})
    with monkeypatch.context() as patch:
        full(patch)
        with pytest.warns(AlignbenchWarning, match="No space left.*for this run only"):
            store.shelf(KEY).write(items(2, 2), vectors(2, 2))
        other.write(items(2), vectors(2, 7))  # without a second warning: here it would be an error
        assert_holds(store.shelf(KEY), 4)
        assert_holds(EmbeddingStore(tmp_path / "cache").shelf(KEY), 2)
    assert store.shelf({**KEY, "source": "b"}).read(items(2)).values.tolist() == vectors(2, 7).tolist()
    store.shelf(KEY).write(items(2, 4), vectors(2, 4))  # there is room again
    assert_holds(EmbeddingStore(tmp_path / "cache").shelf(KEY), 2, 4)
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_cache_that_cannot_be_made_midway_is_no_lock_and_no_loss(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    shelf = EmbeddingStore(tmp_path / "file").shelf(KEY)
    with pytest.warns(AlignbenchWarning, match="there is a file where a folder is needed"), shelf.lock():
        shelf.write(items(3), vectors(3))
    assert_holds(shelf, 3)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_shards_that_cannot_be_read_are_computed_anew_with_one_warning(
    shelf: Shelf, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(path: Path) -> bytes:
        raise OSError(code, os.strerror(code))

    both = shards(shelf)
    with monkeypatch.context() as patch:
        patch.setattr("alignbench.embed.cache.read_regular", unreadable)
        with pytest.warns(DamagedShardWarning, match=r"and 1 more, is damaged \(it can't be read: ") as said:
            assert not shelf.read(items(8)).there.any()
    assert len(said) == 1
    assert all(path.with_suffix(".bad").is_file() for path in both)
    shelf.write(items(8), vectors(8))
    assert_holds(Shelf(shelf.folder), 8)


def test_a_folder_in_a_shards_place_is_a_damaged_shard(shelf: Shelf, tmp_path: Path) -> None:
    for shard in shards(shelf):
        shard.unlink()
        (shard / "inside").mkdir(parents=True)
    with pytest.warns(DamagedShardWarning, match="not a regular file"):
        assert not shelf.read(items(8)).there.any()
    shelf.write(items(4), vectors(4))
    assert_holds(Shelf(shelf.folder), 4)
    long_ago = time.time() - 8 * 86400
    for aside in shelf.folder.glob("*.bad"):
        os.utime(aside, (long_ago, long_ago))
    with EmbeddingStore(tmp_path).shelf(KEY).lock():
        pass
    assert not [*shelf.folder.glob("*.bad")]


def test_a_shard_of_another_format_is_damaged_although_its_sum_is_right(shelf: Shelf) -> None:
    for content in (b"", b"\xff" * 64):
        (shelf.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors").write_bytes(content)
    with pytest.warns(DamagedShardWarning, match="and 1 more"):
        found = shelf.read(items(8))
    assert found.there.all()


def test_no_temporary_folder_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def mkdtemp(prefix: str) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("alignbench.embed.cache.tempfile.mkdtemp", mkdtemp)
    with pytest.raises(ConfigError, match=r"No usable temporary.*TMPDIR"):
        EmbeddingStore(None)


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    assert not EmbeddingStore(tmp_path / "cache").shelf(KEY).read(items(1)).there.any()
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_a_store_of_the_run_goes_with_it() -> None:
    store = EmbeddingStore(None)
    store.shelf(KEY).write(items(1), vectors(1))
    root = store.root
    assert root.is_dir()
    del store  # no ResourceWarning: warnings are errors here
    gc.collect()
    assert not root.exists()


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"ALIGNBENCH_CACHE": "/x/y"}, "/x/y/embeddings"),
        ("linux", {"XDG_CACHE_HOME": "/c"}, "/c/alignbench/embeddings"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "/home/me/.cache/alignbench/embeddings"),
        ("linux", {}, "/home/me/.cache/alignbench/embeddings"),
        ("darwin", {"XDG_CACHE_HOME": "/c"}, "/home/me/Library/Caches/alignbench/embeddings"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/alignbench/embeddings"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="POSIX paths")
def test_the_place_follows_the_platform(
    platform: str, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALIGNBENCH_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert default_root() == Path(expected)


def test_a_file_system_without_locks_is_said_and_works(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import filelock

    def no_locks(*_args: object, **_options: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    with caplog.at_level(logging.WARNING), shelf.lock():
        assert_holds(shelf, 8)
    assert "no file lock" in caplog.text


WRITER = """
import sys, numpy as np
from pathlib import Path
from alignbench.embed import EmbeddingStore
from alignbench.tests.test_embed_cache import KEY, items, vectors
shelf = EmbeddingStore(Path(sys.argv[1])).shelf(KEY)
for start in range(int(sys.argv[2]), int(sys.argv[3]), 2):
    shelf.write(items(2, start), vectors(2, start))
    shelf.read(items(4, start))
"""


@pytest.mark.slow
def test_writers_without_a_lock_lose_nothing(tmp_path: Path) -> None:
    root = str(Path(__file__).parents[2])
    ranges = [("0", "40"), ("20", "60"), ("40", "80")]
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), *bounds], cwd=root)
        for bounds in ranges
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    shelf = EmbeddingStore(tmp_path).shelf(KEY)
    assert_holds(shelf, 80)
    assert not list(shelf.folder.glob(".tmp-*"))
    assert len(index_of(shelf)) == 40
