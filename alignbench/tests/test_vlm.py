"""The trained VLM: what its control, its scorer and its training promise, on a tiny checkpoint."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from alignbench.datasets import Sample
from alignbench.errors import DegenerateError, InputError
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.vlm.answers import asked, exact_match, kind_of, majority_answers
from alignbench.experiments.vlm.control import derangement, image_blocks, mean_shuffled, shuffled_nulls
from alignbench.experiments.vlm.learning import learning_flags
from alignbench.experiments.vlm.result import VLMSettings
from alignbench.experiments.vlm.scores import plan_jobs, train_vlm, vlm_arrays, vlm_scores
from alignbench.experiments.vlm.training import image_grid, standardised, whitened
from alignbench.hidden import Patches
from alignbench.llms import resolve
from alignbench.projectors.architectures import QUERIES, build
from alignbench.tests import tiny_models as tiny
from alignbench.types import ModelInfo

VISION = ModelInfo("eye", "vision", "other", "here", "custom")
CAPTIONS = ("pie", "a bar chart with five red bars")


pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    handle: Any = resolve(str(tiny.llama(tmp_path_factory.mktemp("llama"))))
    causal = handle.with_head()
    causal.load("cpu", "float32")
    return causal


def samples(n: int = 40) -> list[Sample]:
    """Captions of two sorts in turn, each with a short question whose answer is the sort."""
    return [
        Sample(
            f"s{i}",
            b"",
            (CAPTIONS[i % 2],),
            ("chart", "table")[i // 2 % 2],
            group=f"g{i}",
            exchanges=(("What type of image is this?", f"{CAPTIONS[i % 2]}."),),
        )
        for i in range(n)
    ]


def patches(n: int = 40, *, informed: bool = True) -> Patches:
    """Patches that show which caption it is, or are all alike."""
    values = np.random.default_rng(0).standard_normal((n, 4, 8)).astype(np.float32) * 0.1
    values[:, :, 0] += np.where(np.arange(n) % 2, 1.0, -1.0)[:, None]
    if not informed:
        values[:] = values[0]
    return Patches(VISION, values, tuple(f"s{i}" for i in range(n)))


SETTINGS = VLMSettings(repeats=Repeats(epochs=12, splits=2, seeds=1, permutations=99))


def settings_with(*, projector: str = "linear", image_tokens: int = 1, **repeats: Any) -> VLMSettings:
    return VLMSettings(projector, replace(SETTINGS.repeats, **repeats), image_tokens)


def scored(llm: Any, given: Patches, settings: VLMSettings = SETTINGS) -> dict[str, Any]:
    result = train_vlm(given, samples(len(given.ids)), llm, settings, dataset="d@1")
    return {score.metric: score for score in vlm_scores(result)} | {"result": result}


@pytest.mark.slow
def test_information_in_the_image_is_found(llm: Any) -> None:
    found = scored(llm, patches(100))
    gain = found["image_gain"]
    assert gain.value > 0.1
    assert gain.null.p <= 0.05
    assert gain.interval.low <= gain.value <= gain.interval.high
    assert gain.params["ratio"] == pytest.approx(np.exp(-gain.value))
    assert found["caption_perplexity"].value < found["caption_perplexity"].params["no_image"]
    assert found["caption_perplexity"].value < found["caption_perplexity"].null.mean


@pytest.mark.slow
def test_images_that_are_all_alike_gain_nothing(llm: Any) -> None:
    gain = scored(llm, patches(informed=False))["image_gain"]
    assert gain.value == pytest.approx(0.0, abs=1e-5)
    assert gain.null.p > 0.5


@pytest.mark.slow
def test_training_lowers_the_loss_and_leaves_the_llm_as_it_was(llm: Any) -> None:
    before = {name: value.clone() for name, value in llm.decoder.model.state_dict().items()}
    longer = scored(llm, patches(), settings_with(epochs=40))["result"].trained
    assert all(one.train_curve[-1] < one.train_curve[0] - 0.5 for one in longer)
    assert all(one.right < one.none - 0.5 for one in longer)
    after = llm.decoder.model.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not any(p.requires_grad or p.grad is not None for p in llm.decoder.model.parameters())


@pytest.mark.slow
def test_a_training_does_not_depend_on_those_beside_it(llm: Any) -> None:
    whole = scored(llm, patches())["result"].trained
    alone = train_vlm(patches(), samples(), llm, settings_with(splits=1), dataset="d@1").trained
    np.testing.assert_array_equal(alone[0].losses, whole[0].losses)
    assert alone[0].answers == whole[0].answers


@pytest.mark.slow
def test_trainings_at_once_start_from_their_own_seeds(llm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    alone, builders, overlaps = threading.Lock(), Counter[str](), 0

    def watched(*args: Any) -> Any:
        nonlocal overlaps
        builders[threading.current_thread().name] += 1
        entered = alone.acquire(blocking=False)
        overlaps += not entered
        made = [build(*args) for _ in range(100)]  # long enough for threads that may build at once to do so
        if entered:
            alone.release()
        return made[-1]

    monkeypatch.setattr("alignbench.experiments.vlm.training.build", watched)
    monkeypatch.setattr("alignbench.experiments.vlm.training.available_cores", lambda: 4)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        scored(llm, patches(), settings_with(epochs=1, splits=4))
    finally:
        sys.setswitchinterval(interval)
    assert len(builders) > 1
    assert overlaps == 0


@pytest.mark.slow
@pytest.mark.parametrize("projector", ["mlp", "2layer_mlp", "cross_attention"])
def test_every_projector_gives_image_tokens(projector: str, llm: Any) -> None:
    settings = settings_with(projector=projector, image_tokens=4, epochs=4)
    found = scored(llm, patches(), settings)
    assert found["image_gain"].value > 0
    assert found["image_gain"].params["image_tokens"] == (QUERIES if projector == "cross_attention" else 4)
    assert found["image_gain"].variant == projector


@pytest.mark.slow
def test_the_losses_of_held_out_captions_do_not_move_the_training(llm: Any) -> None:
    job = plan_jobs(samples(), SETTINGS)[0]
    changed = samples()
    for row in job.test:
        changed[int(row)] = replace(changed[int(row)], texts=("line chart",))
    settings = settings_with(splits=1)
    first = train_vlm(patches(), samples(), llm, settings, dataset="d@1").trained[0]
    second = train_vlm(patches(), changed, llm, settings, dataset="d@1").trained[0]
    np.testing.assert_array_equal(first.train_curve, second.train_curve)
    assert not np.array_equal(first.held_out_curve, second.held_out_curve)


def test_no_group_is_on_both_sides_and_one_row_of_each_is_tested() -> None:
    rows = [replace(sample, group=f"g{i // 2}") for i, sample in enumerate(samples())]
    for job in plan_jobs(rows, SETTINGS):
        train, test = ([rows[int(i)].group for i in part] for part in (job.train, job.test))
        assert not set(train) & set(test)
        assert len(set(test)) == len(test) == 4
        assert (job.other != np.arange(len(test))).all()


def test_too_few_groups_are_refused_with_their_number() -> None:
    with pytest.raises(DegenerateError, match=r"at least 10 groups .* got 9"):
        plan_jobs(samples(9), SETTINGS)


def test_standardising_looks_at_train_rows_only() -> None:
    x, train = patches().values, np.arange(20)
    other = x.copy()
    other[20:] *= 100
    np.testing.assert_array_equal(standardised(x, train)[train], standardised(other, train)[train])
    np.testing.assert_array_equal(whitened(x, train, 0.1)[train], whitened(other, train, 0.1)[train])


def test_whitened_patches_vary_alike_in_all_directions() -> None:
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    x = (rng.standard_normal((500, 4, 3)) * (10, 1, 0.1) @ turn).astype(np.float32)
    train = np.arange(500)
    spread = np.linalg.svd(np.cov(whitened(x, train, 1e-9).reshape(-1, 3).T), compute_uv=False)
    np.testing.assert_allclose(spread, 1, rtol=1e-2)
    # With the mean variance added, a direction of variance c keeps the share c / (c + mean).
    spread = np.linalg.svd(np.cov(whitened(x, train, 1.0).reshape(-1, 3).T), compute_uv=False)
    known = np.linalg.eigvalsh(np.cov(x.reshape(-1, 3).T))[::-1]
    np.testing.assert_allclose(spread, known / (known + known.mean()), rtol=1e-2)
    alike = np.full((6, 2, 3), 0.1, dtype=np.float32)
    np.testing.assert_array_equal(whitened(alike, np.arange(6), 0.1), alike)


def test_the_control_is_a_derangement_inside_blocks() -> None:
    blocks = np.asarray([0, 1, 0, 1, 0, 2, 2])
    for seed in range(50):
        order = derangement(blocks, np.random.default_rng(seed))
        assert sorted(order) == list(range(7))
        assert (order != np.arange(7)).all()
        assert (blocks[order] == blocks).all()
    with pytest.raises(InputError, match="block of one"):
        derangement(np.asarray([0, 0, 1]), np.random.default_rng(0))


@pytest.mark.parametrize("n", [2, 3, 10, 11, 18, 25])
def test_blocks_are_small_and_none_is_of_one(n: int) -> None:
    sizes = np.bincount(image_blocks(np.arange(n).astype(str), 0, "test"))
    assert sizes.min() >= 2
    assert sizes.max() <= 10


def test_the_shuffled_loss_is_the_mean_over_other_images() -> None:
    losses = np.asarray([[1.0, 3.0, np.nan], [5.0, 2.0, np.nan], [np.nan, np.nan, 0.0]])[:2, :2]
    assert mean_shuffled(losses, np.asarray([1.0, 3.0])) == pytest.approx((3 + 5) / 4)


def test_p_is_small_for_the_right_images_alone() -> None:
    rng = np.random.default_rng(0)
    blocks, types = np.zeros(12, dtype=np.intp), np.asarray(["a", "b"] * 6)
    noise, tokens = rng.standard_normal((12, 12)), np.full(12, 10.0)
    none = shuffled_nulls(noise, tokens, blocks, types, 199, rng)
    planted = shuffled_nulls(noise - 9 * np.eye(12), tokens, blocks, types, 199, rng)
    by_type = np.where(types[:, None] == types[None, :], -9.0, 0.0)
    typed = shuffled_nulls(noise + by_type, tokens, blocks, types, 199, rng)
    assert none.p is not None
    assert none.p > 0.05
    assert planted.p == planted.within_p == pytest.approx(1 / 200)
    assert typed.p == pytest.approx(1 / 200)
    assert typed.within_p is not None
    assert typed.within_p > 0.05


@pytest.mark.parametrize(
    ("said", "answer", "right"),
    [
        (" A chart.", "A chart.", True),
        ("a  CHART", "A chart.", True),
        ("A chart. And", "A chart.", False),
        ("3", "3.", True),
        ("13.", "3.", False),
        ("", "3.", False),
    ],
)
def test_exact_match_is_of_whole_answers(said: str, answer: str, right: bool) -> None:
    assert exact_match([said], [answer]).tolist() == [right]


def test_the_guesser_knows_the_question_and_the_train_part_only() -> None:
    def sample(question: str, answer: str) -> Sample:
        return Sample("s", b"", ("t",), "chart", exchanges=((question, answer),))

    train = [sample("How many rows are there?", a) for a in ("3.", "3.", "4.")]
    train += [sample("How many bars are there?", a) for a in ("5.", "5.", "5.", "5.", "2.")]
    guess = majority_answers(train)
    assert guess("How many rows are there?", "number") == "3"
    assert guess("How many bars are there?", "number") == guess("How many apples?", "number") == "5"
    assert guess("What type of image is this?", "type") == ""


@pytest.mark.parametrize(
    ("question", "answer", "kind"),
    [
        ("What kind of chart is it?", "A pie chart.", "kind"),
        ("What is it about?", "Coffee in Milan.", "short"),
        ("이 차트에서 가장 높은 값은?", "95.6", "number"),
        ("Wie viele Balken?", "1.234,5 %", "number"),
        ("What time is it?", "12:30.", "short"),
        ("What does it show?", "A line chart titled Coffee in Milan.", None),
        ("무엇이 보이나요?", "가" * 41, None),
        ("What is it?", " . ", None),
    ],
)
def test_the_answer_tells_whether_a_question_is_asked(question: str, answer: str, kind: str | None) -> None:
    assert kind_of(question, answer) == kind


def test_the_question_that_the_text_answers_is_asked_if_it_is_short() -> None:
    known = Sample("s", b"", ("Red.",), "chart", question="Which colour?", exchanges=(("Why?", "No."),))
    assert {(question, answer) for question, answer, _ in asked(known)} == {
        ("Which colour?", "Red."),
        ("Why?", "No."),
    }
    assert asked(replace(known, exchanges=(), texts=("A long text that nobody would repeat.",))) == []


@pytest.mark.slow
def test_answers_to_questions_of_any_wording_are_scored(llm: Any) -> None:
    reworded = [
        replace(
            s, exchanges=(("Was ist das?", s.exchanges[0][1]), (f"Nur hier {i}?", "3"))[: 2 if i == 0 else 1]
        )
        for i, s in enumerate(samples())
    ]
    result = train_vlm(patches(), reworded, llm, settings_with(epochs=1), dataset="d@1")
    found = {s.variant: s for s in vlm_scores(result) if s.metric == "answer_exact_match"}
    asked_once = any(question.startswith("Nur") for job in result.jobs for _, question in job.questions)
    assert set(found) == ({"short linear", "number linear"} if asked_once else {"short linear"})
    assert found["short linear"].value is not None
    if asked_once:
        assert "every held-out part" in str(found["number linear"].reason)


@pytest.mark.slow
def test_answers_are_scored_beside_chance(llm: Any) -> None:
    found = scored(llm, patches())
    score = found["answer_exact_match"]
    assert score.variant == "type linear"
    shares = []
    for job in found["result"].jobs:
        sorts = job.train % 2
        majority = int((sorts == 1).sum() > (sorts == 0).sum() or ((sorts == 1).sum() == (sorts == 0).sum()))
        shares.append(np.mean(job.test % 2 == majority))
    assert score.chance == pytest.approx(np.mean(shares))
    assert 0 <= score.value <= 1
    assert score.null.mean is not None


def test_data_without_questions_says_so(llm: Any) -> None:
    plain = [replace(sample, exchanges=()) for sample in samples()]
    result = train_vlm(patches(), plain, llm, settings_with(epochs=1), dataset="d@1")
    answers = vlm_scores(result)[-1]
    assert (answers.metric, answers.status) == ("answer_exact_match", "not_applicable")
    assert vlm_arrays(result)["train_curve"].shape == (2, 1)


FALLING, RISING, FLAT = np.linspace(1, 0.6, 8)[None], np.linspace(0.6, 1, 8)[None], np.full((1, 8), 0.8)


@pytest.mark.parametrize(
    ("train", "held_out", "p", "flags"),
    [
        (FALLING, FALLING, 0.4, ("underfit",)),
        (FALLING, FLAT, None, ("underfit",)),
        (FALLING, FALLING, 0.01, ()),
        (FALLING, RISING, 0.4, ("overtrained",)),
        (FLAT, FLAT, 0.4, ()),
        (FALLING[:, :1], FALLING[:, :1], 0.4, ()),
        (FALLING[:, :2], FALLING[:, :2], 0.4, ("underfit",)),
    ],
)
def test_the_curves_tell_why_nothing_was_learnt(train: Any, held_out: Any, p: Any, flags: Any) -> None:
    assert learning_flags(train, held_out, p) == flags


@pytest.mark.slow
def test_a_training_that_is_too_short_says_what_to_try(llm: Any) -> None:
    # Images that are all alike teach the captions alone: that loss falls, and the image gains nothing.
    alike = scored(llm, patches(informed=False), settings_with(epochs=4))
    for metric in ("image_gain", "caption_perplexity"):
        assert alike[metric].flags == ("underfit",)
        assert alike[metric].params["epochs_to_try"] == 12
    assert "underfit" not in alike["answer_exact_match"].flags


def test_patches_are_averaged_over_a_grid() -> None:
    values = np.arange(2 * 16 * 3, dtype=np.float32).reshape(2, 16, 3)
    cells = image_grid(values, VLMSettings(image_tokens=4))
    np.testing.assert_allclose(cells[:, 0], values[:, [0, 1, 4, 5]].mean(axis=1))
    assert image_grid(values[:, :15], VLMSettings(image_tokens=5)).shape == (2, 5, 3)
    assert image_grid(values, VLMSettings(image_tokens=16)) is values
