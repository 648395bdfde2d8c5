"""The study's encoders: every objective learns, is kept early and late, loads by its folder, and goes on."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from alignbench.datasets.synthetic import Description, Synthetic
from alignbench.datasets.synthetic.words import COLOURS
from alignbench.encoders import resolve
from alignbench.errors import UnknownNameError
from alignbench.experiments.validity.study import member_of, members
from alignbench.workshop.zoo import loop
from alignbench.workshop.zoo.data import CYCLE, Drawings
from alignbench.workshop.zoo.labels import colours_of, number_of, targets
from alignbench.workshop.zoo.lineage_training import make_lineages, shrunk
from alignbench.workshop.zoo.masked import patches
from alignbench.zoo.lineages import CARD, LINEAGES, Lineage, lineage_of, read_card

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

POOL, STEPS = 40, 20
LEARNERS = ("clip-low", "siglip-a", "kind", "colour", "masked", "distil")


@pytest.fixture(autouse=True)
def _threads_as_before():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    np.save(folder / f"drawings-112-{POOL}.npy", np.stack([Drawings().pixels(i) for i in range(POOL)]))
    return folder


def short(name: str, steps: int = STEPS) -> Lineage:
    lineage = LINEAGES[name]
    recipe = dataclasses.replace(lineage.recipe, steps=steps, batch=8, pool=POOL, warmup=1, rate=2e-3)
    return dataclasses.replace(lineage, recipe=recipe)


@pytest.mark.parametrize("name", LEARNERS)
def test_an_objective_learns_and_its_checkpoints_load_by_their_folders(
    name: str, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 5)
    lines: list[str] = []
    make_lineages([short(name)], tmp_path, work, lines.append)
    losses = [float(line.split(" loss ")[1].split()[0]) for line in lines if " loss " in line]
    assert losses[-1] < losses[0]
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}-10", f"{name}-30"}
    assert not (work / f"{name}.pt").exists()
    vectors = []
    for folder, step in ((f"{name}-10", 2), (f"{name}-30", 6), (name, STEPS)):
        card = read_card(tmp_path / folder)
        assert (card.lineage, card.step, card.final) == (name, step, step == STEPS)
        encoder = resolve(str(tmp_path / folder))
        encoder.load("cpu", "float32")
        vectors.append(encoder.embed([Synthetic(5).drawing("chart", 0).image]))
        assert np.isfinite(vectors[-1]).all()
    assert not np.allclose(vectors[0], vectors[-1], atol=1e-4)


def test_what_is_there_is_not_trained_again(work: Path, tmp_path: Path) -> None:
    make_lineages([short("colour", 2)], tmp_path, work, lambda line: None)
    lines: list[str] = []
    make_lineages([short("colour", 2)], tmp_path, work, lines.append)
    assert lines == ["colour: already trained"]


def test_a_killed_training_ends_as_an_unbroken_one(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "SAVE_EVERY_SECONDS", 0.0)
    monkeypatch.setattr(loop, "LOG_EVERY", 4)
    make_lineages([short("colour", 8)], tmp_path / "whole", work, lambda line: None)

    def interrupt(line: str) -> None:
        if "step 4/8" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_lineages([short("colour", 8)], tmp_path / "broken", work, interrupt)
    assert not (tmp_path / "broken" / "colour" / CARD).exists()
    make_lineages([short("colour", 8)], tmp_path / "broken", work, lambda line: None)
    for folder in ("colour-10", "colour-30", "colour"):
        one, two = (
            (tmp_path / side / folder / "model.safetensors").read_bytes() for side in ("whole", "broken")
        )
        assert one == two


def test_an_untrained_lineage_has_one_checkpoint_that_depends_on_its_seed_alone(
    work: Path, tmp_path: Path
) -> None:
    for side in ("one", "two"):
        torch.manual_seed(len(side) + ord(side[0]))
        make_lineages([LINEAGES["random-small"]], tmp_path / side, work, lambda line: None)
    one, two = (
        (tmp_path / side / "random-small" / "model.safetensors").read_bytes() for side in ("one", "two")
    )
    assert one == two
    assert read_card(tmp_path / "one" / "random-small").final


def test_members_of_the_study_are_what_is_there(work: Path, tmp_path: Path) -> None:
    make_lineages([LINEAGES["random-small"]], tmp_path, work, lambda line: None)
    assert [member.name for member in members(tmp_path)][-2:] == ["random-vit", "random-small"]
    assert member_of(f"mine={tmp_path / 'random-small'}").card.lineage == "random-small"
    assert member_of("mini-clip").card.family == "contrastive"


def test_an_unknown_lineage_is_answered_with_what_was_meant() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'colour'"):
        lineage_of("color")


def test_labels_are_what_is_said_of_the_drawing() -> None:
    drawings = Drawings()
    kinds, colours, numbers = (targets(label, 30) for label in ("kind", "colour", "number"))
    said = [drawings.description(i) for i in range(30)]
    for i, told in enumerate(said):
        words = " ".join(told.wordings).lower().split()
        assert all(colours[i][place] for place, name in enumerate(COLOURS) if name in words)
        answer = next(reply for question, reply in told.exchanges if question.startswith("How many"))
        assert numbers[i] == min(12, int(answer.rstrip(".")))
    assert len(set(targets("type", 20).tolist())) == len(set(CYCLE))
    for one, two in itertools.combinations(range(30), 2):
        assert (kinds[one] == kinds[two]) == (said[one].kind == said[two].kind)


def test_a_drawing_without_a_number_or_colour_has_none() -> None:
    said = Description("bar", "What?", ("a thing in teal, not bluered",), (("Why?", "Because."),))
    assert number_of(said) == 0
    assert sum(colours_of(said)) == 1


def test_patches_are_cut_row_by_row_and_normalised_each() -> None:
    images = torch.arange(2 * 3 * 4 * 6, dtype=torch.float32).reshape(2, 3, 4, 6)
    cut = patches(images, 2)
    assert cut.shape == (2, 6, 12)
    first = images[0, :, 0:2, 2:4].reshape(-1)
    assert torch.allclose(cut[0, 1], (first - first.mean()) / (first.var() + 1e-2).sqrt())


def test_a_low_resolution_lineage_sees_small_images() -> None:
    pixels = np.stack([Drawings().pixels(i) for i in range(2)])
    assert shrunk(pixels, 32).shape == (2, 32, 32, 3)
    assert shrunk(pixels, 112) is pixels
