"""A race of encoders: what is embedded for it, what it records, how it is told, and what it refuses."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import alignbench as ab
from alignbench.datasets import load_dataset
from alignbench.errors import AlignbenchError
from alignbench.experiments.choose.budget import Purse, parse_budget
from alignbench.experiments.choose.record import AT_LOOK, RACE, races_of
from alignbench.metrics import METRICS
from alignbench.show import summary_markdown, terminal_table
from alignbench.show.race import race_tables
from alignbench.stats import evaluate
from alignbench.tests.toys import copy_benchmarks, run
from alignbench.types import Score
from alignbench.ui.results import view_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.session.result import Result

ENCODERS = ["mini-clip", "mini-dinov2", "random-vit"]
ROWS = 160
STRENGTH = {"good": 2.0, "fair": 0.8, "poor": 0.3, "noise": 0.0}


class Watched(ab.Session):
    """A session that remembers which rows each model was to embed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[tuple[str, list[int]]] = []

    def embedded(self, model: Any, rows: Sequence[int]) -> Any:
        self.seen.append((model.info.label, list(rows)))
        return super().embedded(model, rows)

    def rows_of(self, name: str) -> list[list[int]]:
        return [rows for label, rows in self.seen if label == name]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((ROWS, 5))
    np.save(place / "text.npy", np.hstack([latent, rng.standard_normal((ROWS, 5))]).astype(np.float32))
    for name, strength in STRENGTH.items():
        values = np.hstack([strength * latent, rng.standard_normal((ROWS, 6))])
        np.save(place / f"{name}.npy", values.astype(np.float32))
    (place / "types.txt").write_text("\n".join(["chart"] * 80 + ["table"] * 80))
    (place / "groups.txt").write_text("\n".join(f"g{i // 2}" for i in range(ROWS)))
    return place


def session(place: Path, names: Sequence[str] = tuple(STRENGTH), **options: Any) -> Watched:
    encoders = [f"{name}=npy:{place}/{name}.npy" for name in names]
    return Watched(encoders=encoders, llms=[f"text=npy:{place}/text.npy"], device="cpu", **options)


@pytest.fixture(scope="module")
def watched(files: Path) -> Watched:
    return session(files)


@pytest.fixture(scope="module")
def result(watched: Watched) -> Result:
    return watched.run("choose")


def test_the_best_is_left_and_the_scores_of_a_look_are_those_of_its_rows(
    files: Path, watched: Watched, result: Result
) -> None:
    [found] = races_of(result.scores)
    assert found.race.survivors == ("good",)
    text = np.load(files / "text.npy")
    for (name, groups), score in found.scores.items():
        rows = np.concatenate(watched.rows_of("text"))[:groups]
        vision = np.load(files / f"{name}.npy")[rows]
        alone = evaluate(METRICS.get("debiased_cka"), unit(vision), unit(text[rows]), null=False)
        assert score.value == pytest.approx(alone.value, abs=1e-6)
        assert (score.n, score.dataset) == (groups, result.scores[0].dataset)
        assert score.metric == AT_LOOK
    last = found.scores["good", found.race.looks[-1].groups]
    assert last.null is not None
    assert last.null.p == 0.001


def unit(values: Any) -> Any:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def test_only_the_rows_of_a_look_are_embedded_and_only_by_those_in_the_race(
    watched: Watched, result: Result
) -> None:
    [found] = races_of(result.scores)
    looks = found.race.looks
    steps = [b - a for a, b in pairwise([0, *(look.groups for look in looks)])]
    assert [len(rows) for rows in watched.rows_of("text")] == steps
    everything = [row for rows in watched.rows_of("text") for row in rows]
    assert len(set(everything)) == looks[-1].groups < ROWS  # nested, and no row twice
    for name in STRENGTH:
        ran = sum(name in look.values for look in looks)
        assert watched.rows_of(name) == watched.rows_of("text")[:ran]
    assert any(len(watched.rows_of(name)) < len(looks) for name in STRENGTH)
    used = sum(len(rows) for name in STRENGTH for rows in watched.rows_of(name))
    assert found.used == used / (len(STRENGTH) * ROWS)
    took = f"It took {used:,} of the {4 * ROWS:,} embeddings of all encoders on all samples"
    assert f"{took} ({found.used:.0%}): {used:,} from arrays." in found.statement


def test_groups_stay_whole_and_types_are_in_equal_parts(files: Path) -> None:
    grouped = session(files, groups=str(files / "groups.txt"), labels=files / "types.txt", budget="200")
    grouped.run("choose")
    rows = set(np.concatenate(grouped.rows_of("text")).tolist())
    assert len(rows) == 40
    assert rows == {row ^ 1 for row in rows}  # the rows of a group are 2i and 2i + 1
    assert sum(row < 80 for row in rows) == 20


def test_encoders_of_a_look_take_one_form_however_wide_they_are(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alignbench.stats.streamed.MANY_ROWS", 10)
    narrow = np.load(files / "good.npy")[:, :6]
    wide = np.hstack([narrow, np.random.default_rng(1).standard_normal((ROWS, 90)).astype(np.float32)])
    for name, values in (("narrow", narrow), ("wide", wide), ("text", np.load(files / "text.npy")[:, :6])):
        np.save(tmp_path / f"{name}.npy", values)
    [found] = races_of(session(tmp_path, ("narrow", "wide")).run("choose").scores)
    forms: dict[int, set[Any]] = {}
    for (_, groups), score in found.scores.items():
        forms.setdefault(groups, set()).add((score.params.get("form"), len(score.deletions)))
    assert all(len(of_look) == 1 for of_look in forms.values()), forms


def test_what_was_recorded_is_read_back(result: Result) -> None:
    back = [Score.from_dict(json.loads(json.dumps(score.to_dict()))) for score in result.scores]
    assert races_of(back) == races_of(result.scores)
    assert result.scores[0].metric == RACE


def test_a_budget_of_images_ends_the_race_and_is_never_exceeded(files: Path) -> None:
    limited = session(files, ["good", "fair"], budget="60")
    result = limited.run("choose")
    [found] = races_of(result.scores)
    assert (found.race.ending, found.race.survivors) == ("budget", ("good", "fair"))
    assert sum(len(rows) for name in ("good", "fair") for rows in limited.rows_of(name)) == 40
    assert "good or fair (too close to call) when the budget of 60 embeddings was spent" in found.statement


@pytest.mark.slow
def test_a_margin_ends_the_race_when_the_rest_is_surely_closer(files: Path) -> None:
    [found] = races_of(twins(files, margin=0.3).run("choose").scores)
    assert found.race.ending == "margin"
    assert "differ by less than the margin of 0.3" in found.statement
    [whole] = races_of(twins(files).run("choose").scores)
    assert whole.race.ending == "all pairs"
    assert "(too close to call), after all 160 groups" in whole.statement


def twins(place: Path, **options: Any) -> ab.Session:
    noisy = np.load(place / "fair.npy")
    noisy[:, -6:] += np.random.default_rng(5).standard_normal((ROWS, 6)).astype(np.float32) / 50
    np.save(place / "twin.npy", noisy)
    return session(place, ["fair", "twin"], **options)


def test_the_error_level_is_shared_by_all_looks_also_those_that_never_come(files: Path) -> None:
    [found] = races_of(session(files, error_level=0.08).run("choose").scores)
    assert len(found.race.looks) < 4
    assert [look.level for look in found.race.looks] == pytest.approx([0.02] * len(found.race.looks))


def test_another_metric_may_decide(files: Path) -> None:
    [found] = races_of(session(files, metric="mutual_knn").run("choose").scores)
    assert (found.metric, found.race.survivors[0]) == ("mutual_knn", "good")


@pytest.mark.slow
def test_no_encoder_that_beats_shuffled_pairs_is_said(files: Path) -> None:
    rng = np.random.default_rng(7)
    for name in ("n1", "n2"):
        np.save(files / f"{name}.npy", rng.standard_normal((ROWS, 6)).astype(np.float32))
    [found] = races_of(session(files, ["n1", "n2"]).run("choose").scores)
    assert "not beat shuffled pairs." in found.statement


def test_an_encoder_without_a_score_leaves_with_the_reason(files: Path) -> None:
    np.save(files / "apart.npy", np.eye(ROWS, dtype=np.float32))  # all are equally far apart
    scores = session(files, ["good", "fair", "apart"]).run("choose").scores
    [found] = races_of(scores)
    assert "apart left the race without a score: " in found.statement
    assert "apart" in found.race.looks[0].unscored
    assert all("apart" not in look.values for look in found.race.looks)
    [table] = race_tables(scores)
    assert table.rows[-1] == ("apart", ["20", "n/a", "-", "-", "-", "no score"])


def test_the_report_begins_with_the_outcome_and_ranks_nobody(result: Result, tmp_path: Path) -> None:
    findings = result.findings
    assert findings.rankings == ()
    [found] = races_of(result.scores)
    told = " ".join(" ".join(terminal_table(findings)).split())
    assert found.statement in told
    assert "in the end good 40" in told
    assert "not ranked" not in told
    summary = summary_markdown(findings)
    assert summary.splitlines()[2].startswith("**For `text`:** Race of 4 encoders for text by debiased")
    assert "| `noise` | 20 |" in summary
    assert "nothing to rank" not in summary
    page = (result.save(tmp_path / "run", figures=False) / "report.html").read_text(encoding="utf-8")
    assert found.statement in page
    assert "nothing to rank" not in page
    assert 'id="race"' in page
    options = ab.Session().options
    shown = view_of(result, (), folder=tmp_path, name="choose", options=options, command="alignbench choose")
    assert f'<p class="ab-headline">{found.statement}</p>' in shown.answer


def test_the_figure_ends_the_line_of_whoever_was_dropped_with_a_cross(result: Result) -> None:
    figure: Any = result.figure("race")
    [ax] = figure.axes
    assert ax.get_xscale() == "log"
    [found] = races_of(result.scores)
    crosses = [line for line in ax.lines if line.get_marker() == "x"]
    assert len(crosses) == len(STRENGTH) - 1
    heights = {round(float(line.get_ydata()[0]), 9) for line in crosses}
    lost = {name: found.last_look[name].values[name] for name in STRENGTH if name != "good"}
    assert heights == {round(value, 9) for value in lost.values()}
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names[0].startswith("good: left, 0.7")
    assert any(name.startswith("noise: out at 20, 0.6") for name in names)


@pytest.mark.slow
def test_the_final_trains_projectors_of_the_survivors_only(files: Path) -> None:
    result = session(files, final="e2e", splits=2).run("choose")
    trained = [score for score in result.scores if score.experiment == "e2e"]
    assert {score.encoder for score in trained} == {"good"}
    assert {score.n for score in trained} == {ROWS}
    [vlm] = races_of(session(files, final="vlm").run("choose").scores)
    assert "No final training of good:" in vlm.statement


def test_the_call_of_python_returns_the_outcome(files: Path) -> None:
    encoders = [f"{name}=npy:{files}/{name}.npy" for name in ("noise", "good")]
    choice = ab.choose(encoders, f"text=npy:{files}/text.npy", device="cpu")
    assert (choice.best, choice.survivors, choice.ending) == ("good", ("good",), "one is left")
    assert str(choice) == choice.statement
    assert choice.looks[-1].dropped == ("noise",)
    assert 0 < choice.used < 1
    with pytest.raises(AlignbenchError, match=r"^budget: the first look alone takes 40 images"):
        ab.choose(encoders, f"text=npy:{files}/text.npy", device="cpu", budget=3)
    with pytest.raises(AlignbenchError, match=r"^budget: expected a time such as 90s, .*, got '1.5'"):
        ab.choose(encoders, f"text=npy:{files}/text.npy", budget=1.5)
    with pytest.raises(AlignbenchError, match=r"^llm: expected the name of one LLM, got \['a', 'b'\]"):
        ab.choose(encoders, ["a", "b"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"names": ["good"]}, "encoders: a race takes at least two, got good; name another one"),
        ({"metric": "nothing"}, "metric: unknown value 'nothing'"),
        ({"metric": "ncoral"}, "metric: 'ncoral' can't decide a race"),
        ({"metric": "knn_accuracy"}, "metric: 'knn_accuracy' can't decide a race"),
        ({"budget": "0"}, "budget: nothing can be scored with a budget of 0, got '0'"),
        ({"budget": "0m"}, "budget: nothing can be scored with a budget of 0, got '0m'"),
        ({"budget": "-5m"}, "budget: expected a time such as 90s, 30m or 2h"),
        ({"budget": "soon"}, "budget: expected a time such as 90s, 30m or 2h"),
        (
            {"budget": "10"},
            r"budget: the first look alone takes 80 images \(4 encoders on 20 groups\), got 10; allow",
        ),
        ({"margin": -1}, "margin: expected a number from 0 on, got -1"),
        ({"margin": float("nan")}, "margin: expected a number from 0 on, got nan"),
        ({"error_level": 0}, "error_level: expected a number between 0 and 1, got 0.0"),
        ({"error_level": 1}, "error_level: expected a number between 0 and 1, got 1.0"),
        ({"final": "cka"}, "final: unknown value 'cka'"),
    ],
)
def test_wrong_input_is_one_line(files: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(AlignbenchError, match=says) as error:
        session(files, **options).run("choose")
    assert "\n" not in str(error.value)


def test_too_few_samples_are_refused(files: Path) -> None:
    few = session(files, n_samples=10)
    with pytest.raises(
        AlignbenchError, match=r"^n_samples: a race takes at least 20 groups of samples, got 10; take more"
    ):
        few.run("choose")
    assert few.seen == []


@pytest.mark.parametrize(
    ("text", "seconds", "images"),
    [("90s", 90, None), ("30m", 1800, None), ("1.5h", 5400, None), ("5000", None, 5000)],
)
def test_a_budget_is_a_time_or_a_number_of_images(text: str, seconds: Any, images: Any) -> None:
    budget = parse_budget(text, "--budget")
    assert (budget.seconds, budget.embeddings) == (seconds, images)


def test_time_is_estimated_from_what_images_took_so_far() -> None:
    now = [100.0]
    purse = Purse(parse_budget("10s", "--budget"), clock=lambda: now[0])
    assert purse.allows(1_000_000)  # nothing is known before the first look
    purse.spend(30)
    now[0] += 3.0
    assert purse.allows(70)
    assert not purse.allows(71)
    now[0] += 7.5
    assert not purse.allows(0)


@pytest.mark.slow
def test_a_race_that_was_broken_off_goes_on_with_what_it_embedded(tmp_path: Path) -> None:
    data = load_dataset("synthetic", n_per_type=40)

    def raced(**options: Any) -> tuple[ab.Session, Any]:
        own = ab.Session(
            encoders=ENCODERS,
            llms=["mini-llama"],
            data=data,
            cache_dir=tmp_path,
            device="cpu",
            **options,
        )
        return own, races_of(own.run("choose").scores)[0]

    def missing(own: ab.Session) -> dict[str, int]:
        return {name: own.embedder.count_missing(one, data) for name, one in own.encoders.items()}

    first, broken = raced(budget="100")
    assert broken.race.ending == "budget"
    assert missing(first) == dict.fromkeys(ENCODERS, 90)
    assert "90 of the 360 embeddings of all encoders on all samples (25%): 90 computed." in broken.statement
    again, found = raced()
    last = {name: look.groups for name, look in found.last_look.items()}
    assert last["random-vit"] < last["mini-clip"]
    assert missing(again) == {name: 120 - last[name] for name in ENCODERS}
    assert again.take_loads()
    third, same = raced()
    assert third.take_loads() == []
    used = sum(last.values())
    assert f"({found.used:.0%}): {used - 90} computed and 90 from the cache." in found.statement
    assert f"({found.used:.0%}): {used} from the cache." in same.statement
    assert same.race == found.race


@pytest.mark.slow
def test_a_run_of_pytest_tells_the_race(pytester: pytest.Pytester, files: Path) -> None:
    pytester.makeconftest('pytest_plugins = ["alignbench.plugin.fixtures"]')
    copy_benchmarks(pytester, "test_choose.py")
    encoders = ",".join(f"{name}=npy:{files}/{name}.npy" for name in ("noise", "good"))
    models = (f"--encoders={encoders}", f"--llms=text=npy:{files}/text.npy", "--n-samples=all")
    of_race = run(pytester, "-m", "choose", *models)
    of_race.assert_outcomes(passed=1)
    of_race.stdout.fnmatch_lines(
        ["Race of 2 encoders for text by debiased_cka: good is the best*", "good *left"]
    )
    run(pytester, *models).assert_outcomes(deselected=1)
    refused = run(pytester, "-m", "choose", *models, "--align-margin=-1")
    refused.stderr.fnmatch_lines(["ERROR: --align-margin: expected a number from 0 on, got -1.0"])
    alone = run(pytester, "-m", "choose", f"--encoders=good=npy:{files}/good.npy", *models[1:], "-n", "1")
    assert alone.ret == 4
    alone.stderr.fnmatch_lines(["ERROR: --encoders: a race takes at least two, got good; name another one"])
