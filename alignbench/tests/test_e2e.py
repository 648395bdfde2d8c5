"""End to end: what retrieval says after training, its chance, its p, and what predicts it."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np
import pytest

from alignbench.experiments.e2e.retrieval import MEASURES, e2e_scores
from alignbench.experiments.repeats import Repeats
from alignbench.experiments.trained import plan, train_all
from alignbench.findings import Findings
from alignbench.metrics import cosine_similarity, mrr_chance, rank_table, recall_chance, retrieval
from alignbench.plots import FigureInputs
from alignbench.projectors.fit import Training
from alignbench.stats.prediction import predicts
from alignbench.stats.splits import some_groups
from alignbench.tests.pairs import make_pair
from alignbench.tests.report_fakes import make_model, make_scores, make_trained_scores

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.types import Pair, Score

E2E = import_module("alignbench.experiments.e2e.retrieval")  # the package has a function of this name
QUICK = Repeats(splits=2, seeds=2, epochs=60, permutations=199)


def by_name(pair: Pair, loss: str = "contrastive", repeats: Repeats = QUICK) -> dict[tuple[str, str], Score]:
    return {(s.variant.split()[0], s.metric): s for s in e2e_scores(pair, loss, repeats)}


@pytest.mark.parametrize("ties", [False, True])
def test_the_table_gives_what_retrieval_gives_for_every_pairing(ties: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        n = int(rng.integers(3, 12))
        codes = np.unique(rng.integers(0, 6, n), return_inverse=True)[1]
        similarity = rng.integers(0, 4, (n, n)).astype(float) if ties else rng.normal(size=(n, n))
        table = rank_table(similarity, codes)
        order = rng.permutation(codes.max() + 1)
        right = retrieval(similarity, order[codes][:, None] == codes[None, :])
        at = (np.arange(n), order[codes])
        np.testing.assert_allclose(table.reciprocal[at], right.reciprocal_ranks)
        assert np.median(table.ranks[at]) == pytest.approx(right.median_rank)
        for k, hits in table.hits.items():
            np.testing.assert_allclose(hits[at], right.hits[k])


@pytest.mark.parametrize("ties", [False, True])
def test_a_table_of_some_groups_has_their_columns_of_the_whole_table(ties: bool) -> None:
    rng = np.random.default_rng(1)
    codes = np.unique(rng.integers(0, 9, 30), return_inverse=True)[1]
    similarity = rng.integers(0, 4, (12, 30)).astype(float) if ties else rng.normal(size=(12, 30))
    some = np.array([1, 2, 5, codes.max()])
    whole, part = rank_table(similarity, codes), rank_table(similarity, codes, groups=some)
    assert np.array_equal(part.ranks, whole.ranks[:, some])
    assert np.array_equal(part.reciprocal, whole.reciprocal[:, some])
    assert all(np.array_equal(hits, whole.hits[k][:, some]) for k, hits in part.hits.items())


@pytest.mark.parametrize("asked", [1000, 3])
@pytest.mark.parametrize("per_group", [1, 3])
def test_scores_are_those_of_retrieval_on_the_held_out_rows(
    per_group: int, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(E2E, "ASKED", asked)
    monkeypatch.setattr(E2E, "WHOLE", 100)  # a few queries at a time
    pair = make_pair(60, per_group=per_group)
    found = by_name(pair, "cosine")
    groups = np.asarray(pair.groups)
    splits = plan(pair.groups, QUICK, early_stopping=True)
    values: dict[tuple[str, str], list[float]] = {}
    for own, _ in train_all(pair, splits, Training("linear", "cosine", epochs=60, patience=30), QUICK):
        for one in own:
            test = one.rows.test
            mean = pair.y.values[one.rows.train].astype(np.float64).mean(axis=0)
            cosines = cosine_similarity(one.prediction, pair.y.values[test], center=np.stack([mean, mean]))
            right = groups[test][:, None] == groups[test][None, :]
            queries = some_groups(groups[test], asked, QUICK.seed, f"queried in split {one.rows.number}")
            assert len(set(groups[test][queries])) == min(asked, 12 // per_group)
            for direction, sims in (("image_to_text", cosines), ("text_to_image", cosines.T)):
                result = retrieval(sims[queries], right[queries])
                values.setdefault((direction, "mrr"), []).append(result.mrr)
                values.setdefault((direction, "median_rank"), []).append(result.median_rank)
                values.setdefault((direction, "recall_at_5"), []).append(result.recall[5])
    for key, expected in values.items():
        np.testing.assert_allclose(found[key].repeats, expected, atol=1e-6)
        assert ("queried" in found[key].flags) == (asked == 3)
        assert found[key].params.get("queries") == (3 * per_group if asked == 3 else None)


def test_asking_some_held_out_groups_still_tells_pairs_from_shuffled_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(E2E, "ASKED", 12)
    related, unrelated = (
        by_name(make_pair(150, noise=noise), "ridge")["image_to_text", "mrr"] for noise in (0.3, None)
    )
    assert related.null is not None
    assert unrelated.null is not None
    assert related.null.p == pytest.approx(0.01)
    assert (related.value or 0) > 2 * (related.chance or 1)
    assert (unrelated.null.p or 0) > 0.05


def test_every_score_has_its_direction_its_chance_and_its_bounds() -> None:
    found = by_name(make_pair(50), "mse")
    assert set(found) == {(d, m) for d in ("image_to_text", "text_to_image") for m in MEASURES}
    for (direction, measure), score in found.items():
        assert score.variant == f"{direction} mse"
        assert score.params["direction"] == direction
        assert score.higher_is_better == (measure != "median_rank")
        assert len(score.repeats) == 4
    assert found["image_to_text", "mrr"].chance == pytest.approx(mrr_chance(10, 1))
    assert found["image_to_text", "recall_at_5"].chance == pytest.approx(0.5)
    assert found["text_to_image", "median_rank"].chance == pytest.approx(5.5)


def test_chance_knows_of_several_right_answers() -> None:
    found = by_name(make_pair(60, per_group=3))
    assert found["image_to_text", "recall_at_1"].chance == pytest.approx(recall_chance(12, 3, 1))
    assert found["image_to_text", "median_rank"].chance == pytest.approx(13 / 4)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["contrastive", "cosine", "mse"])
def test_planted_alignment_is_found_and_its_shuffled_control_is_at_chance(loss: str) -> None:
    repeats = replace(QUICK, splits=4, epochs=300)
    score = by_name(make_pair(75, noise=0.1), loss, repeats)["image_to_text", "mrr"]
    assert score.value is not None
    assert score.value > 0.6
    assert score.null is not None
    assert score.null.p is not None
    assert score.null.p <= 0.02
    assert score.null.mean == pytest.approx(score.chance, abs=0.12)


def test_a_constant_scorer_gets_chance() -> None:
    """All images alike: every text is tied with every other one."""
    pair = make_pair(50)
    constant = replace(pair, x=replace(pair.x, values=np.ones_like(pair.x.values)))
    for (direction, _), score in by_name(constant).items():
        if direction == "image_to_text":
            continue
        assert score.value == pytest.approx(score.chance)
        assert score.null is not None
        assert score.null.p == 1


@pytest.mark.slow
def test_p_of_independent_pairs_is_honest() -> None:
    """Over 100 small independent data sets p rejects no more often than it says."""
    repeats = Repeats(splits=2, seeds=1, epochs=5, permutations=99)
    p_values = []
    for seed in range(100):
        found = by_name(make_pair(20, noise=None, seed=seed, dims=(4, 3)), "mse", repeats)
        null = found["image_to_text", "mrr"].null
        assert null is not None
        assert null.p is not None
        p_values.append(null.p)
    for level, most in ((0.1, 0.17), (0.3, 0.4), (0.5, 0.6)):
        assert np.mean(np.asarray(p_values) <= level) <= most
    assert min(p_values) < 0.5


@pytest.mark.slow
def test_within_types_p_asks_for_more_than_the_type() -> None:
    """Sides that share the type and nothing else are aligned, and not within types."""
    rng = np.random.default_rng(0)
    pair = make_pair(90, noise=None, types=3, dims=(6, 5))
    kinds = np.arange(90) % 3
    x, y = (
        (side.values * 0.3 + rng.normal(size=(3, side.dim))[kinds] * 3).astype(np.float32)
        for side in (pair.x, pair.y)
    )
    typed = replace(pair, x=replace(pair.x, values=x), y=replace(pair.y, values=y))
    null = by_name(typed, "contrastive", replace(QUICK, splits=3, epochs=200))["image_to_text", "mrr"].null
    assert null is not None
    assert null.p is not None
    assert null.p < 0.05
    assert null.within_p is not None
    assert null.within_p > 0.1


def test_tiny_n_is_not_applicable_in_every_measure() -> None:
    found = e2e_scores(make_pair(8), "contrastive", QUICK)
    assert len(found) == 2 * len(MEASURES)
    assert {s.status for s in found} == {"not_applicable"}
    assert "at least 10" in str(found[0].reason)
    assert len({s.key for s in found}) == len(found)


def test_three_lineages_are_not_estimable_and_the_control_is_none() -> None:
    encoders = ("mini-clip", "mini-siglip", "mini-dinov2", "random-vit")
    scores = [*make_scores(encoders), *make_trained_scores(encoders)]
    found = predicts(scores, [make_model(e) for e in encoders])
    assert found is not None
    assert found.lineages == 3
    assert "random-vit" in found.left_out
    assert found.statement.startswith("Not estimable: 3 lineages, it takes 5; the smallest two-sided p")
    [one] = [
        c for c in found.correlations if (c.metric, c.outcome) == ("elas", "mrr image_to_text contrastive")
    ]
    assert not one.estimable
    assert one.pearson > 0.9
    assert one.smallest_p == pytest.approx(1 / 3)


def test_aliases_of_one_checkpoint_are_one_lineage() -> None:
    encoders = tuple(f"encoder-{i}" for i in range(6))
    scores = [*make_scores(encoders), *make_trained_scores(encoders)]
    models = [replace(make_model(e), source=f"org/{i // 2}") for i, e in enumerate(encoders)]
    found = predicts(scores, models)
    assert found is not None
    assert found.lineages == 3
    alone = predicts(scores)
    assert alone is not None
    assert alone.lineages == 6
    assert "predicts" in alone.statement


def test_nothing_is_said_where_no_retrieval_was_recorded() -> None:
    assert predicts(make_scores()) is None


@pytest.mark.slow
def test_the_figure_says_what_the_correlation_is_worth() -> None:
    from alignbench.experiments.e2e.figures import metric_vs_e2e
    from alignbench.tests.report_fakes import make_inputs

    for encoders, statement in (
        (("mini-clip", "mini-siglip", "mini-dinov2"), "Not estimable: 3 lineages"),
        (tuple(f"encoder-{i}" for i in range(6)), "which predicts mrr"),
    ):
        figure = metric_vs_e2e(make_inputs(encoders, ("mini-llama",)))
        assert figure is not None
        assert statement in figure.get_supxlabel()
        titles = [ax.get_title(loc="left") for ax in figure.axes]
        assert all(("not estimable" in title) == (len(encoders) < 5) for title in titles)


@pytest.mark.slow
def test_the_run_s_files_say_whether_scores_predict_retrieval(tmp_path: Path) -> None:
    import json

    import jsonschema

    from alignbench.findings import SCHEMA
    from alignbench.show import write_run
    from alignbench.tests.report_fakes import make_run

    encoders = ("mini-clip", "mini-siglip", "mini-dinov2", "random-vit")
    scores = [*make_scores(encoders), *make_trained_scores(encoders)]
    write_run(tmp_path, Findings.of(scores, make_run(encoders)), figures=False)
    data = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(data)
    assert data["prediction"]["lineages"] == 3
    assert not any(one["estimable"] for one in data["prediction"]["correlations"])
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "Does a score predict retrieval?" in summary
    assert "Not estimable: 3 lineages" in summary


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "said", "not_said"),
    [("ridge", "solved in closed form", "stopped early"), ("mse", "early; 5 splits × 3 seeds", "solved")],
)
def test_the_figure_says_how_the_projector_came_about(loss: str, said: str, not_said: str) -> None:
    from alignbench.experiments.e2e.figures import e2e_retrieval

    scores = [
        replace(s, params={**s.params, "loss": loss, "splits": 5, "seeds": 3, "candidates": 18.0})
        for s in make_trained_scores(("mini-clip", "mini-siglip"))
    ]
    figure = e2e_retrieval(FigureInputs(scores))
    assert figure is not None
    caption = " ".join(figure.get_supxlabel().split())
    assert said in caption
    assert not_said not in caption
