"""The measurement of embedding: turns, ratios, calm rounds; and that it refuses contenders that disagree."""

from __future__ import annotations

import importlib.util
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.datasets import open_image
from alignbench.embed import Embedder, EmbeddingStore
from alignbench.experiments.speed import machine
from alignbench.workshop.measure import _embed_contenders as contenders
from alignbench.workshop.measure import _embed_inputs as inputs
from alignbench.workshop.measure import embed
from alignbench.workshop.measure._race import Elapsed, Round, Spread, cost_of, kept, race, ratios

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TINY: dict[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
SMALL = ["--rounds", "2", "--texts", "7", "--images", "4", "--batch-sizes", "4", "--calm", "99"]
TEXTS, CLIP, DINOV2 = (["--only", part, *SMALL] for part in embed.PARTS)


class Machine:
    """A clock that stands still but for the contenders' work, and what others do beside it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, others: list[float] | None = None) -> None:
        self.wall = self.cpu = self.busy = 0.0
        self.turns: list[str] = []
        self._others = itertools.cycle(others or [0.0])
        monkeypatch.setattr(machine.Machine, "usage", lambda _: machine.Usage(self.wall, self.cpu, self.busy))

    def contender(self, name: str, wall: float, cpu: float) -> Any:
        def work() -> None:
            self.turns.append(name)
            self.wall += wall
            self.cpu += cpu
            self.busy += cpu + next(self._others) * wall

        return work


def rounds_of(*others: float | None) -> list[Round]:
    return [Round({"a": Elapsed(1, 1)}, other) for other in others]


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models of no size."""
    monkeypatch.setattr(inputs, "real_llm", lambda: None)
    monkeypatch.setattr(inputs, "LLM", {**inputs.LLM, **TINY, "num_key_value_heads": 1})
    monkeypatch.setattr(inputs, "CLIP", {**inputs.CLIP, **TINY})
    monkeypatch.setattr(inputs, "DINOV2", {**inputs.DINOV2, **TINY, "mlp_ratio": 2})
    monkeypatch.setattr(inputs, "PHOTO", (64, 43))


def test_contenders_take_turns_and_who_begins_alternates(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Machine(monkeypatch)
    both = {name: fake.contender(name, 1, 1) for name in "ab"}
    assert len(race(both, 3)) == 3
    assert fake.turns == ["a", "b", "b", "a", "a", "b"]


def test_a_round_knows_its_costs_and_what_others_did(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Machine(monkeypatch, others=[0.5])
    (one,) = race({"a": fake.contender("a", 2, 3), "b": fake.contender("b", 4, 4)}, 1, calm=1)
    assert one.costs == {"a": Elapsed(2, 3), "b": Elapsed(4, 4)}
    assert one.others == pytest.approx(0.5)


def test_rounds_that_were_not_calm_are_run_again_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Machine(monkeypatch, others=[1.0, 0.0, 0.0, 0.0])
    rounds = race({"a": fake.contender("a", 1, 1)}, 6, calm=0.2)
    assert [r.others for r in rounds] == [1, 0, 0, 0, 1, 0, 0, 0]
    assert len(kept(rounds, calm=0.2)) == 6


def test_a_race_on_a_loaded_machine_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Machine(monkeypatch, others=[1.0])
    assert len(race({"a": fake.contender("a", 1, 1)}, 5, calm=0.2)) == 10


@pytest.mark.parametrize(
    ("others", "counted"),
    [((0, 0, 0, 1), 3), ((0, 0, 1, 1), 4), ((1, 1), 2), ((None, None), 2), ((0, 1), 2)],
    ids=["enough", "too few", "none", "unknown", "few rounds"],
)
def test_calm_rounds_count_where_there_are_enough(others: tuple[float | None, ...], counted: int) -> None:
    assert len(kept(rounds_of(*others), calm=0.2)) == counted


def test_a_ratio_is_of_costs_in_the_same_round() -> None:
    walls = [(1.0, 2.0), (10.0, 30.0), (2.0, 8.0)]
    rounds = [Round({"ours": Elapsed(a, 1), "other": Elapsed(b, 0.5)}, 0) for a, b in walls]
    assert ratios(rounds, "other", "ours", "wall") == Spread(3, 2.5, 3.5)
    assert ratios(rounds, "other", "ours", "cpu") == Spread(0.5, 0.5, 0.5)


def test_one_round_has_no_spread() -> None:
    assert str(Spread.of([1.234])) == "1.23 [1.23, 1.23]"


def test_processor_time_is_that_of_all_threads() -> None:
    def work() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(sum, range(3_000_000)).result()

    spent = cost_of(work)
    assert 0.005 < spent.cpu <= 3 * spent.wall


def test_vectors_that_differ_are_refused() -> None:
    a = np.eye(3, dtype=np.float32)
    assert embed.agree(a, a) == pytest.approx(1)
    with pytest.raises(SystemExit, match=r"smallest cosine 0\.0000"):
        embed.agree(a, a[[0, 2, 1]])
    with pytest.raises(SystemExit, match="smallest cosine nan"):
        embed.agree(a, a * np.float32("nan"))
    with pytest.raises(SystemExit, match="shapes"):
        embed.agree(a, a[:2])


def test_the_best_batch_size_is_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Machine(monkeypatch)
    cpu = {4: 3.0, 8: 1.0, 16: 2.0}
    # The clock says otherwise: others held it up.
    assert (
        embed.best_batch_size(lambda size: fake.contender("b", 9 - size / 4, cpu[size])(), [4, 8, 16], "cpu")
        == 8
    )


def test_the_report_says_how_calm_it_was() -> None:
    def said(*others: float | None) -> str:
        rounds = [Round({"ours": Elapsed(1, 2), "theirs": Elapsed(3, 4)}, other) for other in others]
        return embed.report(rounds, "theirs", 30, calm=0.2)

    assert "ours: 1.00 s, 2.00 s of processor time, 30.0 per second" in said(0, 0, 0)
    assert "3.00 [3.00, 3.00] by the clock, 2.00 [2.00, 2.00] by processor time; 3 rounds, all calm" in said(
        0, 0, 0
    )
    assert "3 rounds, 1 more left out as not calm" in said(0, 0, 0, 1)
    assert "NOT CALM" in said(1, 1, 1)
    assert "the load by other processes is unknown" in said(None, None, None)


def test_texts_are_different_the_same_again_and_of_all_lengths() -> None:
    texts = inputs.texts(60)
    assert len(set(texts)) == 60
    assert texts == inputs.texts(60)
    lengths = sorted(len(text.split()) for text in texts)
    assert lengths[0] < 12
    assert lengths[-1] > 60


def test_photos_are_jpeg_and_png_wide_and_high(tmp_path: Path) -> None:
    files = inputs.photos(8, tmp_path)
    assert {file.suffix for file in files} == {".jpg", ".png"}
    assert {open_image(file).size for file in files} == {(640, 427), (427, 640)}


@pytest.mark.usefixtures("shapes")
@pytest.mark.parametrize("argv", [CLIP, DINOV2], ids=["clip", "dinov2"])
def test_images_are_measured_against_a_plain_loop(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed.main([*argv, "--dtype", "float32"]) == 0
    output = capsys.readouterr().out
    assert "torch threads" in output
    assert "4 images" in output
    assert "float32; smallest cosine 1.0000" in output
    assert "by processor time; 2 rounds" in output


@pytest.mark.usefixtures("shapes")
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs sentence-transformers"
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_texts_are_measured_against_sentence_transformers(
    dtype: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert embed.main([*TEXTS, "--dtype", dtype]) == 0
    output = capsys.readouterr().out
    assert "7 texts" in output
    assert "sentence-transformers, batches of 4 (its best of 4)" in output


def test_without_sentence_transformers_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sentence_transformers" else find(name)
    )
    assert embed.main(TEXTS) == 1
    assert "pip install sentence-transformers" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.usefixtures("shapes")
def test_our_work_is_done_anew_each_time_by_a_model_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = inputs.make_clip(tmp_path / "clip")
    files = inputs.photos(3, tmp_path / "photos")
    stores: list[EmbeddingStore] = []

    def watched(store: EmbeddingStore, *options: Any) -> Embedder:
        stores.append(store)
        assert not any(store.root.rglob("*.safetensors"))
        return Embedder(store, *options)

    monkeypatch.setattr(contenders, "Embedder", watched)
    work, precision = contenders.our_images(folder, files, "projected", "cpu", "float32")
    assert np.array_equal(work(), work())
    assert precision.name == "float32"
    assert all(list(store.root.rglob("*.safetensors")) for store in stores)
