"""The commands that run no benchmark: what is at hand, the cache, what is missing, and a report made anew."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.embed import EmbeddingStore
from alignbench.encoders import ENCODERS
from alignbench.findings import Findings
from alignbench.show import write_run
from alignbench.tests.report_fakes import make_run, make_scores
from alignbench.weights import hub

if TYPE_CHECKING:
    from collections.abc import Callable


def test_list_takes_a_registered_object_for_what_it_is(said: Callable[..., tuple[int, str, str]]) -> None:
    class Mine:
        weights = "pretrained"

        def embed(self, images: list[object]) -> list[list[float]]:
            return [[1.0, 2.0] for _ in images]

    ENCODERS.add("mine", Mine)
    try:
        status, out, _ = said("list", "encoders")
    finally:
        ENCODERS.remove("mine")
    assert status == 0
    assert next(line for line in out.splitlines() if line.startswith("mine")).endswith("registered")


def test_list_says_what_is_at_hand(said: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = said("list", "encoders", "llms", "metrics")
    assert status == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line and not line.startswith("-")}
    assert rows["mini-clip"].split()[1:3] == ["clip", "192"]
    assert "built-in toy model" in rows["mini-clip"]
    assert "MB" in rows["mini-qwen"]
    assert "untrained" in rows["random-vit"]
    assert rows["coral_distance"].split()[1:] == ["lower", "both", "clouds"]
    assert said("list", "encodres")[0] == 4


def test_the_cache_is_shown_verified_and_pruned(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    shelf = EmbeddingStore(tmp_path).shelf({"source": "a model", "output": "cls"})
    shelf.write(["00" * 32], np.ones((1, 4), dtype=np.float32))
    at = ("cache", "--cache-dir", str(tmp_path))
    assert "a model, cls" in said(*at, "size")[1]
    assert said(*at, "verify")[:2] == (0, "1 shards read, 0 damaged\n")
    assert said(*at, "prune")[1] == "0 B freed\n"
    assert "would delete" in said(*at, "prune", "--all", "--dry-run")[1]
    [shard] = shelf.folder.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    status, out, _ = said(*at, "verify")
    assert status == 1
    assert f"damaged: {shard}" in out
    assert said(*at, "prune", "--all")[0] == 0
    assert not shelf.folder.exists()
    assert said(*at, "size")[0] == 0


def test_doctor_names_what_is_missing_and_what_a_pair_takes(
    said: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    status, out, _ = said("doctor", "--encoders", "mini-clip")
    assert status == 0
    assert "all well" in out
    assert any(line.startswith("mini-clip") and "mini-llama" in line for line in out.splitlines())
    status, out, _ = said("doctor", "--encoders", "mini-clip,no-such-one")
    assert status == 1
    assert "to do     encoder no-such-one:" in out
    status, out, _ = said("doctor", "--encoders", "no-such-one")
    assert status == 1
    assert "encoder  LLM" not in out  # no table without a row


@pytest.mark.parametrize(
    ("name", "once"),
    [("clip", "clip: openai/clip-vit-base-patch32: "), ("hf:org/name", "hf:org/name: not in the local")],
)
def test_doctor_names_a_missing_model_once(
    name: str, once: str, said: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "unreachable", lambda: "the Hub can't be reached (test)")
    monkeypatch.setattr(hub, "cached_snapshots", lambda *_: [])
    assert f"to do     encoder {once}" in said("doctor", "--encoders", name)[1]


def test_a_file_where_the_cache_should_be_is_named(
    said: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "file").touch()
    monkeypatch.setenv("ALIGNBENCH_CACHE", str(tmp_path / "file"))
    status, out, _ = said("doctor", "--encoders", "mini-clip")
    assert status == 1
    assert "is a file; set ALIGNBENCH_CACHE" in out


@pytest.mark.slow
def test_a_report_is_made_anew_and_figures_for_a_paper(
    tmp_path: Path, said: Callable[..., tuple[int, str, str]]
) -> None:
    folder = tmp_path / "run"
    write_run(folder, Findings.of(make_scores(), make_run()), figures=False)
    (folder / "report.html").unlink()
    assert said("report", str(folder))[:2] == (0, f"{folder / 'report.html'}\n")
    assert "<html" in (folder / "report.html").read_text(encoding="utf-8")
    status, out, _ = said("report", str(folder), "--paper")
    assert status == 0
    paper = [Path(line) for line in out.splitlines()]
    assert {path.parent for path in paper} == {folder / "paper"}
    assert "cka_comparison.pdf" in {path.name for path in paper}
    content = (folder / "paper" / "cka_comparison.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/FontFile2" in content  # TrueType, embedded
    assert b"/Type3" not in content
    status, _, err = said("report", str(tmp_path))
    assert status == 4
    assert "expected a run's scores.json" in err
