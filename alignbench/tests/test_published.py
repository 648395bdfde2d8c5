"""Published tables: the facts that are known of them, by plain numpy; blocks, ceilings, claims and words."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats

from alignbench.errors import InputError
from alignbench.experiments.validity.published import PUBLISHED
from alignbench.experiments.validity.published.ceiling import ceilings
from alignbench.experiments.validity.published.claims import Claim, judge_claim, monomials
from alignbench.experiments.validity.published.judge import judge
from alignbench.experiments.validity.published.record import scores_of
from alignbench.experiments.validity.published.words import said
from alignbench.experiments.validity.table import read_blocks
from alignbench.plots.inputs import FigureInputs
from alignbench.stats.pooled import pooled_correlations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alignbench.experiments.validity.published.judge import Judgement

BENCHMARKS = (
    "mmbench_en",
    "mme",
    "mmmu_val",
    "ok_vqa",
    "textvqa_val",
    "vizwiz_vqa_val",
    "scienceqa_img",
    "seed_image",
)


def rows_of(name: str) -> list[dict[str, str]]:
    with PUBLISHED[name].path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(rows: Sequence[Mapping[str, str]], name: str) -> np.ndarray:
    return np.asarray([float(row[name]) for row in rows])


@pytest.fixture(scope="module")
def law() -> Judgement:
    return judge(PUBLISHED["law"], PUBLISHED["law"].blocks())


@pytest.fixture(scope="module")
def cambrian() -> Judgement:
    """Only the results, without the labels, whose tests take seconds."""
    blocks = read_blocks(PUBLISHED["cambrian1"].path, metrics=["metric_resolution"])
    few = {
        block: type(table)(
            **{
                **{name: getattr(table, name) for name in table.__slots__},
                "outcomes": {name: table.outcomes[f"performance_{name}"] for name in ("average", "docvqa")},
            }
        )
        for block, table in blocks.items()
    }
    return judge(PUBLISHED["cambrian1"], few)


def test_the_a_score_correlates_as_is_known(law: Judgement) -> None:
    rows = rows_of("law")
    found = {(one.correlation.metric, one.correlation.outcome): one.correlation for _, one in law.links}
    r = {}
    for name in BENCHMARKS:
        x, y = column(rows, "metric_a_loglik_v3"), column(rows, f"performance_{name}")
        r[name] = float(np.corrcoef(x, y)[0, 1])
        one = found["metric_a_loglik_v3", f"performance_{name}"]
        assert one.pearson == pytest.approx(r[name], abs=1e-12)
        assert one.spearman == pytest.approx(stats.spearmanr(x, y).statistic)
        assert one.kendall == pytest.approx(stats.kendalltau(x, y).statistic)
    assert (round(min(r.values()), 2), round(max(r.values()), 2)) == (0.66, 0.92)
    firm = [one for (metric, _), one in found.items() if metric == "metric_a_loglik_v3"]
    assert sum(one.p_adjusted <= 0.05 for one in firm) == 6


def test_the_ac_score_fits_well_and_predicts_less_well(law: Judgement) -> None:
    rows, expected = rows_of("law"), {}
    a, c = column(rows, "metric_a_loglik_v3"), column(rows, "metric_c_pck10")
    terms = np.stack([np.ones(13), a, c, a * a, a * c, c * c], axis=1)
    for name in BENCHMARKS:
        y = column(rows, f"performance_{name}")
        fitted = terms @ np.linalg.lstsq(terms, y, rcond=None)[0]
        missed = middle = 0.0
        for i in range(13):
            rest = np.arange(13) != i
            weights = np.linalg.lstsq(terms[rest], y[rest], rcond=None)[0]
            missed += (y[i] - terms[i] @ weights) ** 2
            middle += (y[i] - y[rest].mean()) ** 2
        expected[name] = 1 - ((y - fitted) ** 2).sum() / ((y - y.mean()) ** 2).sum(), 1 - missed / middle
    (judged,) = law.claims.values()
    found = {one.outcome: one.quality for one in judged if one.claim.name == "the AC score"}
    for name, (r2, q2) in expected.items():
        quality = found[f"performance_{name}"]
        assert (quality.r2, quality.q2) == pytest.approx((r2, q2), abs=1e-6)
        assert quality.null_r2 == pytest.approx(5 / 12)
    r2 = [quality.r2 for quality in found.values()]
    assert (round(min(r2), 2), round(max(r2), 2)) == (0.80, 0.95)
    known = {"vizwiz_vqa_val": -0.10, "mmmu_val": 0.44, "seed_image": 0.54, "mmbench_en": 0.66}
    assert {name: round(found[f"performance_{name}"].q2 or 0.0, 2) for name in known} == known


def test_without_the_diffusion_encoders_the_c_score_says_the_opposite(law: Judgement) -> None:
    rows = [row for row in rows_of("law") if row["family"] != "diffusion"]
    assert len(rows) == 7
    found = {
        one.correlation.outcome: one for _, one in law.links if one.correlation.metric == "metric_c_pck10"
    }
    r = {}
    for name in BENCHMARKS:
        x, y = column(rows, "metric_c_pck10"), column(rows, f"performance_{name}")
        r[name] = float(np.corrcoef(x, y)[0, 1])
        assert found[f"performance_{name}"].without["diffusion"] == pytest.approx(r[name])
    assert round(r.pop("ok_vqa"), 2) == 0.44
    assert (round(min(r.values()), 2), round(max(r.values()), 2)) == (-0.37, -0.01)
    ten = [row for row in rows_of("law") if row["encoder"] not in {"DiT", "SD3", "SD2.1"}]
    c = column(ten, "metric_c_pck10")
    rest = [float(np.corrcoef(c, column(ten, f"performance_{name}"))[0, 1]) for name in BENCHMARKS]
    assert (round(min(rest), 2), round(max(rest), 2)) == (-0.26, -0.01)


def test_the_label_predicts_as_well_as_the_scores(law: Judgement) -> None:
    of_label = [
        one.explained.q2 or -1.0
        for _, one in law.links
        if one.correlation.metric == "metric_language_supervised"
    ]
    assert (round(min(of_label), 2), round(max(of_label), 2)) == (0.60, 0.96)


def test_the_page_has_the_numbers_that_the_command_gives(law: Judgement) -> None:
    page = (Path(__file__).parents[1] / "docs" / "validity.md").read_text(encoding="utf-8")
    section = page.partition("### The Law of Vision Representation")[2].partition("###")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    titles = ("MMBench", "MME", "MMMU", "OK-VQA", "TextVQA", "VizWiz", "ScienceQA", "SEED")
    assert {row[0] for row in rows} == set(titles)
    links = {(one.correlation.metric, one.correlation.outcome): one for _, one in law.links}
    fits = {(one.claim.name, one.outcome): one.quality for one in law.claims["LLaVA-1.5"]}

    def written(value: float | None, p: float = 1.0) -> str:
        assert value is not None
        return f"{value:.2f}".replace("0.", ".", 1) + ("\\*" if p <= 0.05 else "")

    for name, *cells in rows:
        outcome = f"performance_{dict(zip(titles, BENCHMARKS, strict=True))[name]}"
        a, v1, c, label = (
            links[f"metric_{metric}", outcome]
            for metric in ("a_loglik_v3", "a_cos_v1", "c_pck10", "language_supervised")
        )
        ac, both = fits["the AC score", outcome], fits["the A score beside the label", outcome]
        r = {
            id(one): written(one.correlation.pearson, one.correlation.p_adjusted) for one in (a, v1, c, label)
        }
        expected = [r[id(a)], r[id(v1)], r[id(c)], written(c.without["diffusion"]), r[id(label)]]
        expected += [written(ac.r2), written(ac.q2), written(label.explained.q2), written(both.q2)]
        assert cells == expected, name


def test_the_rows_of_cambrian_agree_with_their_average() -> None:
    """The average is over four groups of four benchmarks, with MME divided by 20: the same for all 16."""
    rows = rows_of("cambrian1")
    assert len(rows) == 72
    names = [name for name in rows[0] if name.startswith("performance_")]
    for row in rows:
        values = {name: float(row[name]) for name in names}
        values["performance_mme_p"] /= 20
        average = values.pop("performance_average")
        assert np.mean(list(values.values())) == pytest.approx(average, abs=0.15), row["encoder"]


def test_the_ceiling_of_cambrian_is_the_rank_correlation_between_recipes() -> None:
    rows = rows_of("cambrian1")
    found = ceilings(PUBLISHED["cambrian1"].blocks())
    assert len(found) == 17
    blocks = list(dict.fromkeys(row["block"] for row in rows))
    for outcome, ceiling in found.items():
        expected = []
        for first, second in itertools.combinations(blocks, 2):
            a, b = (
                {row["encoder"]: float(row[outcome]) for row in rows if row["block"] == block}
                for block in (first, second)
            )
            both = sorted(set(a) & set(b))
            expected.append(stats.spearmanr([a[e] for e in both], [b[e] for e in both]).statistic)
            rho, shared = ceiling.pairs[first, second]
            assert rho == pytest.approx(expected[-1])
            assert shared == len(both)
        assert ceiling.rho == pytest.approx(np.mean(expected))
    average = found["performance_average"]
    assert (round(average.low, 2), round(average.high, 2)) == (0.73, 0.95)


def test_blocks_are_pooled_by_their_r_and_told_apart(cambrian: Judgement) -> None:
    assert [found.lineages for found in cambrian.blocks.values()] == [21, 17, 17, 13]
    pooled = {one.outcome: one for one in cambrian.pooled}
    one = pooled["docvqa"]
    z = []
    for place, (r, n) in one.by_block.items():
        link = list(cambrian.blocks.values())[place].links[1].correlation
        assert (link.outcome, link.lineages) == ("docvqa", n)
        assert r == pytest.approx(link.pearson)
        z.append(np.arctanh(r))
    assert min(z) <= np.arctanh(one.pooled.r) <= max(z)
    # the same numbers, gathered by lineage from the file itself
    rows = rows_of("cambrian1")
    blocks = list(cambrian.blocks)
    places = {name: i for i, name in enumerate(dict.fromkeys(row["lineage"] for row in rows))}
    x, y = np.full((2, len(places), len(blocks)), np.nan)
    for row in reversed(rows):  # so that the first encoder of a lineage stands for it
        at = places[row["lineage"]], blocks.index(row["block"])
        x[at], y[at] = float(row["metric_resolution"]), float(row["performance_docvqa"])
    (expected,) = pooled_correlations({"x": x}, {"y": y})
    assert (one.p, one.pooled) == (expected.p, expected.pooled)
    scores = scores_of(cambrian)
    assert [score.metric for score in scores].count("table_r") == 8
    assert len({score.key for score in scores}) == len(scores)
    block = next(score for score in scores if score.metric == "table_r")
    ceiling = cambrian.ceilings[block.params["outcome"]].rho
    assert block.params["rho_of_ceiling"] == pytest.approx(block.params["spearman"] / ceiling)
    assert "in 4 blocks" in said(cambrian)


def test_the_scores_of_law_carry_all_that_a_reader_asks(law: Judgement) -> None:
    first, *others = scores_of(law)
    assert (first.metric, first.variant) == ("largest_r", "a_loglik_v3 with mme")  # a label is no score
    assert first.value == pytest.approx(0.92, abs=0.005)
    assert "a_loglik_v3 6 of 8 (r 0.66 to 0.92, Q² 0.32 to 0.81)" in first.params["statement"]
    assert "the family diffusion, r changes its sign: c_pck10 -0.37 to 0.44" in first.params["statement"]
    assert "R² 0.80 to 0.95 in the sample (0.42 by chance) and Q² -0.10 to 0.88" in first.params["statement"]
    assert [score.metric for score in others].count("claim_q2") == 16
    one = next(score for score in others if score.variant == "c_pck10 with ok_vqa")
    assert one.params["without_family"]["diffusion"] == pytest.approx(0.44, abs=0.005)
    assert one.null is not None
    assert one.null.p == one.params["p_adjusted"]


@pytest.mark.slow
def test_figures_are_drawn_from_the_scores_alone(law: Judgement, cambrian: Judgement) -> None:
    from alignbench.experiments.validity.published import figures

    of_law, of_cambrian = (FigureInputs(scores=tuple(scores_of(found))) for found in (law, cambrian))
    assert figures.table_matrix(of_law) is not None
    assert figures.table_claims(of_law) is not None
    scatter = figures.table_scatter(of_law)
    assert scatter is not None
    assert any("CLIP336" in text.get_text() for ax in scatter.axes for text in ax.texts)
    assert figures.table_ceiling(of_law) is None
    assert figures.table_ceiling(of_cambrian) is not None
    assert figures.table_claims(of_cambrian) is None
    assert figures.table_scatter(of_cambrian) is None  # it has labels only
    for draw in (figures.table_matrix, figures.table_scatter, figures.table_claims, figures.table_ceiling):
        assert draw(FigureInputs()) is None


def test_a_fit_has_the_same_quality_in_any_units(law: Judgement) -> None:
    table = law.blocks["LLaVA-1.5"].table
    moved = {name: 1000 + 0.001 * values for name, values in table.metrics.items()}
    other = type(table)(**{**{name: getattr(table, name) for name in table.__slots__}, "metrics": moved})
    claim = PUBLISHED["law"].claims[0]
    for a, b in zip(judge_claim(claim, table), judge_claim(claim, other), strict=True):
        assert a.quality.q2 == pytest.approx(b.quality.q2, abs=1e-6)
    assert judge_claim(Claim("none", ("metric_missing",), 1), table) == []
    with pytest.raises(InputError, match="scores that vary"):
        monomials([[1.0], [1.0]], 2)
