"""The cache of converted GGUF files: checked when used, swept when broken off, shown and pruned."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from alignbench.cli import main
from alignbench.errors import ConfigError
from alignbench.llms import conversions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(tmp_path / "cache"))


def fill(folder: Path) -> None:
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"x" * 100)


def never(_: Path) -> None:
    pytest.fail("converted again")


def test_a_conversion_is_made_once_and_checked_each_time() -> None:
    folder = conversions.kept("key", "a.gguf", fill)
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json",
        "conversion.json",
        "model.safetensors",
    ]
    assert conversions.kept("key", "a.gguf", never) == folder
    [one] = conversions.held()
    assert (one.source, one.usable, one.damaged()) == ("a.gguf", True, [])


@pytest.mark.parametrize("harm", ["flip", "cut", "lose", "manifest"])
def test_a_damaged_conversion_is_made_anew_with_a_warning(harm: str) -> None:
    folder = conversions.kept("key", "a.gguf", fill)
    weights = folder / "model.safetensors"
    if harm == "flip":
        weights.write_bytes(b"x" * 50 + b"y" + b"x" * 49)
    elif harm == "cut":
        weights.write_bytes(b"x" * 99)
    elif harm == "lose":
        weights.unlink()
    else:
        (folder / "conversion.json").write_text("[]", encoding="utf-8")
    with pytest.warns(conversions.DamagedConversionWarning, match="converted anew"):
        conversions.kept("key", "a.gguf", fill)
    assert weights.read_bytes() == b"x" * 100
    conversions.kept("key", "a.gguf", never)


def test_a_conversion_that_fails_leaves_nothing() -> None:
    def fails(folder: Path) -> None:
        fill(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conversions.kept("key", "a.gguf", fails)
    assert conversions.held() == []


def test_what_a_killed_process_left_is_swept_by_the_next_conversion() -> None:
    left = conversions.root() / ".making-other"
    left.mkdir(parents=True)
    fill(left)
    conversions.kept("key", "a.gguf", fill)
    assert not left.exists()


def test_no_process_sweeps_while_another_one_converts() -> None:
    def slow(folder: Path) -> None:
        from filelock import FileLock, Timeout

        with pytest.raises(Timeout):
            FileLock(conversions.root() / "lock").acquire(timeout=0)
        fill(folder)

    conversions.kept("key", "a.gguf", slow)


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.gguf can't be written there .*ALIGNBENCH_CACHE"):
        conversions.kept("key", "a.gguf", fill)


def test_the_cache_command_knows_conversions(capsys: pytest.CaptureFixture[str]) -> None:
    folder = conversions.kept("key", "a.gguf", fill)
    earlier, fresh, broken = (conversions.root() / name for name in ("earlier", ".making-new", ".making-old"))
    for one in (earlier, fresh, broken):
        one.mkdir()
        fill(one)
    past = time.time() - 2 * 3600
    for file in broken.iterdir():
        os.utime(file, (past, past))
    assert main(["cache", "size"]) == 0
    shown = capsys.readouterr().out
    for said in (
        "a.gguf",
        "a conversion of an earlier version",
        "an unfinished conversion",
        "of conversions in",
    ):
        assert said in shown
    assert main(["cache", "verify"]) == 0
    assert "1 conversions read, 0 of their files damaged" in capsys.readouterr().out
    assert main(["cache", "prune", "--dry-run"]) == 0
    assert "would delete  a conversion of an earlier version" in capsys.readouterr().out
    # What nobody can use goes at once, what is old by age; another process may be writing what is fresh.
    assert main(["cache", "prune"]) == 0
    assert [one.exists() for one in (folder, earlier, fresh, broken)] == [True, False, True, False]
    (folder / "model.safetensors").write_bytes(b"z")
    capsys.readouterr()
    assert main(["cache", "verify"]) == 1
    assert f"damaged: {folder / 'model.safetensors'}" in capsys.readouterr().out
    assert (
        main(["cache", "--cache-dir", str(conversions.root().parent / "embeddings"), "prune", "--all"]) == 0
    )
    assert folder.exists()
    assert main(["cache", "prune", "--days", "0"]) == 0
    assert not folder.exists()


def test_a_manifest_that_leads_elsewhere_is_not_followed() -> None:
    folder = conversions.kept("key", "a.gguf", fill)
    (folder / "conversion.json").write_text(
        json.dumps({"source": "a", "sha256": {"../x": "0"}}), encoding="utf-8"
    )
    [one] = conversions.held()
    assert not one.usable


def test_what_another_process_takes_away_meanwhile_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = conversions.kept("key", "a.gguf", fill)
    whole = conversions.held()[0].size
    real = os.stat

    def stat(path: object, *args: object, **kwargs: object) -> os.stat_result:
        if str(path).endswith("model.safetensors"):
            raise FileNotFoundError(path)
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", stat)
    [one] = conversions.held()
    assert (one.folder, one.size) == (folder, whole - 100)
