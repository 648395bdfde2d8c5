"""The file of scores alone: what it keeps, what it leaves out, and what is wrong with a damaged one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.errors import DataError
from alignbench.findings import Findings, compare, parse_gates
from alignbench.findings.scorefile import is_private
from alignbench.tests.diff_fakes import moved, recorded, trained
from alignbench.tests.report_fakes import make_model, make_run, make_score, make_scores
from alignbench.types import Null

if TYPE_CHECKING:
    from pathlib import Path

NULL = Null("permutation of groups", 0.01, 0.02, 3.0, 0.001, 999, p_kind="drawn")
HOW = {"mini-clip": {"pooling": "cls"}, "mini-llama": {"layer": -1}}


def written(path: Path, side: Findings, *, parts: bool = False) -> Findings:
    path.write_text(side.score_file(parts=parts), encoding="utf-8")
    return Findings.read(path, "base")


def score(value: float | None = 0.3, **fields: Any) -> Any:
    params = {"preprocessing": HOW, "k": 9, "parts": {"a": 0.1}}
    given: dict[str, Any] = {"null": NULL, "params": params} | fields
    return make_score("linear_cka", value, **given)


def test_what_makes_scores_comparable_comes_back_and_the_rest_does_not(tmp_path: Path) -> None:
    whole = recorded([score(1 / 3, nodeid="test_it.py::test", artifact="a.npz", flags=("conservative",))])
    back = written(tmp_path / "base.json", whole)
    [first], [second] = whole.scores, back.scores
    assert second.value == 0.3333333333
    assert second.params == {"preprocessing": HOW, "k": 9}
    assert (second.dataset, second.seed, second.flags) == (first.dataset, first.seed, first.flags)
    assert second.null == Null("permutation of groups", 0.01, p=0.001)
    assert (second.deletions, second.artifact, second.reproduce, second.nodeid) == ((), None, None, None)
    assert back.models == whole.models
    assert back.run["dataset"]["digest"] == whole.run["dataset"]["digest"]
    assert not {"command", "started"} & set(json.loads((tmp_path / "base.json").read_text("utf-8")))


def test_a_run_differs_in_nothing_from_its_own_file(tmp_path: Path) -> None:
    whole = recorded([*make_scores(), trained(0.4)])
    diff = compare(written(tmp_path / "base.json", whole), whole, parse_gates("linear_cka:0,mrr:0", "--fail"))
    assert (diff.regressions, diff.changes, diff.only_before, diff.only_after) == ((), (), (), ())
    assert diff.unlike == diff.notes == ()
    assert len(diff.differences) == sum(s.experiment != "speed" for s in whole.scores)
    assert diff.before.verdicts == diff.after.verdicts


def test_with_parts_ties_follow_from_the_file_as_from_the_run(tmp_path: Path) -> None:
    whole = recorded(make_scores())
    back = written(tmp_path / "base.json", whole, parts=True)
    for ranking, again in zip(whole.rankings, back.rankings, strict=True):
        assert (ranking.order, ranking.tie_groups) == (again.order, again.tie_groups)
    assert all(r.tie_groups is None for r in written(tmp_path / "b.json", whole).rankings)


def test_the_text_does_not_depend_on_the_order_or_on_rounding() -> None:
    scores = [s for s in make_scores() if s.value is not None]
    noisy = [replace(s, value=s.value * (1 + 1e-13)) for s in reversed(scores) if s.value is not None]
    text = recorded(scores).score_file()
    assert recorded(noisy).score_file() == text
    lines = [line for line in text.splitlines() if line.startswith('  {"experiment"')]
    assert len(lines) == sum(s.experiment != "speed" for s in scores)


def test_one_changed_score_is_one_changed_line() -> None:
    scores = [score(), score(encoder="mini-siglip"), score(encoder="random-vit")]
    before = recorded(scores).score_file().splitlines()
    after = recorded([moved(scores[0], 0.1), *scores[1:]]).score_file().splitlines()
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


def test_scores_that_differ_from_the_others_say_so(tmp_path: Path) -> None:
    other = {"mini-clip": {"pooling": "mean"}}
    scores = [
        score(),
        score(encoder="mini-siglip", seed=7, dataset="else@00000000", weights={"x": "custom"}),
        score(params={"preprocessing": other}),
        score(params={}),
        score(None, null=None),
    ]
    made = [replace(s, metric=m) for s, m in zip(scores, ("a", "b", "x", "y", "z"), strict=True)]
    back = {s.metric: s for s in written(tmp_path / "base.json", recorded(made)).scores}
    assert (back["b"].seed, back["b"].dataset, back["b"].weights) == (7, "else@00000000", {"x": "custom"})
    assert back["x"].params == {"preprocessing": other}
    assert back["y"].params == {}
    assert (back["z"].value, back["z"].reason) == (None, "zero variance in x")


def test_equal_scores_of_two_tests_keep_their_tests(tmp_path: Path) -> None:
    twice = recorded([score(0.1, nodeid="t.py::one"), score(0.2, nodeid="t.py::two")])
    diff = compare(written(tmp_path / "base.json", twice), twice)
    assert {d.before.nodeid: d.value for d in diff.differences} == {"t.py::one": 0.0, "t.py::two": 0.0}


def test_the_path_of_a_model_with_a_revision_stays_at_home() -> None:
    home = "/home/somebody/models/mine"
    known, unknown = (replace(make_model("mini-clip"), source=home, revision=r) for r in ("abc", None))
    assert home not in recorded([score()], run=make_run(models=[known])).score_file()
    assert home in recorded([score()], run=make_run(models=[unknown])).score_file()


@pytest.mark.parametrize(
    ("text", "private"),
    [
        *((path, True) for path in ("/home/me/x", "C:\\x\\y", "d:/x", "~/x", "~me/x", "../x", "\\\\host\\x")),
        *((path, True) for path in ("npy:/home/x.npy", "a model (/srv/x)", "source=~/x", "'/x'", "/x")),
        *((text, False) for text in ("org/name", "hf:org/name", "n/a", "1/2", "a ~ b", "https://host/x")),
        *(
            (text, False)
            for text in ("sha256:ab", "permutation of groups, exact mean", "x.y/../z", "seed: 7")
        ),
    ],
)
def test_paths_of_a_machine_are_known(text: str, private: bool) -> None:
    assert is_private(text) == private


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"alignbench_scores": 2}, "expected alignbench_scores 1, got 2; use a newer alignbench"),
        ({"scores": {}}, "scores: expected a list, got {}"),
        ({"scores": [3]}, "scores: expected mappings, got 3"),
        ({"models": ["a"]}, "models: expected mappings, got 'a'"),
        ({"seed": "x"}, "seed: expected a whole number, got 'x'"),
        ({"answers": {"a": 3}}, "answers: expected a mapping to texts, got {'a': 3}"),
        ({"scores": [{"metric": "a"}]}, "score 1 is not valid"),
        ({"scores": [{"encoder": [1]}]}, "score 1 is not valid"),
        ({"scores": [{"params": 3}]}, "score 1 is not valid"),
        ({"models": [{"name": []}]}, "the run's description: models"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    plain = json.loads(recorded([score()]).score_file())
    path = tmp_path / "base.json"
    path.write_text(json.dumps(plain | change), encoding="utf-8")
    with pytest.raises(DataError) as told:
        Findings.read(path)
    assert says in str(told.value)
    assert str(told.value).startswith(str(path))
