"""Results that are shared: what is published, what stays at home, and who stands in one order with whom."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.cli import main
from alignbench.errors import AlignbenchError, ConfigError
from alignbench.findings import Findings
from alignbench.findings.beside import beside
from alignbench.findings.publish import publication, read_published
from alignbench.plugin.against import shared_folder
from alignbench.show import write_run
from alignbench.show.html import report_html
from alignbench.show.published import beside_lines, beside_markdown
from alignbench.tests.diff_fakes import moved, recorded, write
from alignbench.tests.report_fakes import HOSTILE, make_model, make_run, make_score, make_scores
from alignbench.tests.toys import RECORD, run

if TYPE_CHECKING:
    from pathlib import Path

    from alignbench.types import Score

HOW = {"clip": {"pooling": "cls"}, "mini-clip": {"pooling": "cls"}, "mini-llama": {"layer": -1}}
DIGEST = "1a2b3c4d1a2b3c4d"


def score(value: float = 0.3, encoder: str = "mini-clip", **fields: Any) -> Score:
    given: dict[str, Any] = {"params": {"preprocessing": HOW, "k": 9}} | fields
    weights = {encoder: "embedded", "mini-llama": "embedded"}
    return make_score("calibrated_cka", value, encoder, **({"weights": weights} | given))


def theirs(*scores: Score, **changes: Any) -> Findings:
    models = [make_model(s.encoder) for s in scores if s.encoder] + [make_model("mini-llama", "text")]
    return recorded(scores, "theirs", make_run(models=models), **changes)


def mine(*others: Findings, scores: tuple[Score, ...] = (score(0.3), score(0.1, "random-vit"))) -> Findings:
    run_ = make_run(
        models=[make_model("mini-clip"), make_model("random-vit"), make_model("mini-llama", "text")]
    )
    return Findings.of(scores, run_, "this run", others)


def shared(tmp_path: Path, side: Findings, name: str = "theirs") -> Findings:
    """Return what others see of a published run."""
    published = publication(side, name)
    path = tmp_path / "shared" / published.place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(published.text, encoding="utf-8")
    found, unreadable = read_published(tmp_path / "shared", DIGEST * 4)
    assert unreadable == {}
    return next(one for one in found if one.name == name)


def test_what_is_published_are_scores_that_encoders_are_ranked_by(tmp_path: Path) -> None:
    published = publication(recorded(make_scores()), "mine")
    assert published.place == f"{DIGEST}/mine.json"
    assert {s.metric for s in published.scores} == {"calibrated_cka", "ncoral", "eas_adjusted"}
    plain = json.loads(published.text)
    assert len(plain["scores"]) == len(published.scores)
    assert all("deletions" in line for line in plain["scores"])
    assert not {"reproduce", "nodeid", "artifact"} & {name for line in plain["scores"] for name in line}
    for word in ("command", "pytest benchmarks", "onerror", "sample_data (no --align"):
        assert word not in published.text
    back = shared(tmp_path, recorded(make_scores()), "mine")
    assert [r.tie_groups for r in back.rankings] == [r.tie_groups for r in recorded(make_scores()).rankings]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "/home/me/clip", "revision": None}, r"models\[0\].source is a path of this machine"),
        ({"params": {"weights": "C:\\clip"}}, r"models\[0\].params.weights is a path of this machine, 'C:"),
        ({"params": {"~/x": 1}}, r"a name in models\[0\].params is a path of this machine"),
    ],
)
def test_a_path_of_this_machine_is_not_published(change: dict[str, Any], says: str) -> None:
    model = replace(make_model("mini-clip"), **change)
    run_ = make_run(models=[model, make_model("mini-llama", "text")])
    with pytest.raises(AlignbenchError, match=says):
        publication(recorded([score()], "run", run_), "mine")


@pytest.mark.parametrize(
    ("scores", "name", "changes", "says"),
    [
        ([score(weights={"clip": "stand-in"})], "a", {}, "nothing to publish"),
        ([replace(score(), metric="rsa")], "a", {}, "nothing to publish"),
        ([score()], "../a", {}, "can't be the name of a file for everybody"),
        ([score()], "a/b", {}, "can't be the name of a file for everybody"),
        ([score()], "a", {"dataset": {"name": "x", "digest": "../../x"}}, "does not record a digest"),
        ([score()], "a", {"dataset": {}}, "does not record a digest"),
    ],
)
def test_what_can_not_be_published_says_why(
    scores: list[Score], name: str, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(AlignbenchError, match=says):
        publication(recorded(scores, "run", **changes), name)


def test_a_comparable_encoder_stands_in_one_order_and_changes_nothing_else(tmp_path: Path) -> None:
    own = mine()
    other = shared(tmp_path, theirs(moved(score(0.3, "clip"), 0.001)))
    both = mine(other)
    [table] = beside(both)
    assert [(e.name, e.place, e.published) for e in table.entries] == [
        ("clip (published)", 1, True),
        ("mini-clip", 1, False),
        ("random-vit", 3, False),
    ]
    assert table.ties_known
    assert table.apart == {}
    assert [r.to_dict() for r in own.rankings] == [r.to_dict() for r in both.rankings]
    assert own.answer() == both.answer()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"dataset": "x@00000000"}, "data: x@00000000 in A"),
        ({"seed": 7}, "seed: 7 in A, 42 in B"),
        ({"params": {"preprocessing": HOW, "k": 5}}, "k 5 in A, 9 in B, for 1 score"),
        ({"params": {"preprocessing": {**HOW, "mini-llama": {"layer": 3}}, "k": 9}}, "layer 3 in A, -1 in B"),
        ({"deletions": ()}, "90 groups in A, 90 in B, or other blocks"),
        ({"n": 80}, "80 groups in A, 90 in B"),
    ],
)
def test_what_is_not_comparable_has_no_place_and_says_why(fields: dict[str, Any], says: str) -> None:
    [table] = beside(mine(theirs(score(0.9, "clip", **fields))))
    assert [e.name for e in table.entries] == ["mini-clip", "random-vit"]
    assert says in table.apart["clip (published)"]
    assert table.ties_known


def test_samples_in_other_groups_are_not_comparable() -> None:
    data = mine().run["dataset"]
    other = theirs(score(0.9, "clip"), dataset={**data, "groups": 80})
    [table] = beside(mine(other))
    assert table.apart["clip (published)"].startswith(
        "data: sample_data 1a2b3c4d1a2b of 90 samples in 80 groups"
    )


def test_other_weights_of_the_llm_are_apart_and_of_the_encoder_are_not() -> None:
    models = [replace(make_model("mini-clip"), revision="new"), make_model("mini-llama", "text")]
    other = recorded([score(0.4)], "theirs", make_run(models=models))
    [table] = beside(mine(other))
    assert [e.name for e in table.entries] == ["mini-clip (published)", "mini-clip", "random-vit"]
    models = [make_model("mini-clip"), replace(make_model("mini-llama", "text"), revision="new")]
    [table] = beside(mine(recorded([score(0.4)], "theirs", make_run(models=models))))
    assert table.apart["mini-clip (published)"].startswith("weights of mini-llama: new in A")


def test_ones_own_published_score_is_not_listed_twice_and_equal_names_say_their_file(tmp_path: Path) -> None:
    again = shared(tmp_path, theirs(score(0.3)), "again")
    assert beside(mine(again))[0].apart == {"mini-clip (published)": "this run has it, too"}
    two = [
        shared(tmp_path, theirs(moved(score(0.3, "clip"), by)), name) for by, name in ((0, "a"), (0.1, "b"))
    ]
    names = [entry.name for entry in beside(mine(*two))[0].entries]
    assert names[:2] == ["clip (published: b)", "clip (published: a)"]


def test_without_a_score_of_the_same_kind_there_is_no_table() -> None:
    other = theirs(replace(score(), llm="else"), replace(score(), metric="eas_adjusted"))
    assert beside(mine(other)) == []
    said = " ".join(beside_lines(mine(other), 80))
    assert "No published score is of the same data, metric and LLM." in said
    assert beside_lines(mine(), 80) == beside_markdown(mine()) == []


def test_a_run_keeps_what_it_was_compared_with_so_that_its_report_can_be_made_again(tmp_path: Path) -> None:
    other = shared(tmp_path, theirs(score(0.29, HOSTILE[0])))
    write_run(tmp_path / "run", mine(other), figures=False)
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert '<section id="published"' in page
    assert HOSTILE[0] not in page
    assert report_html(tmp_path / "run") == page
    assert "## Beside published encoders" in (tmp_path / "run" / "summary.md").read_text(encoding="utf-8")
    write_run(tmp_path / "alone", mine(), figures=False)
    assert '<section id="published"' not in (tmp_path / "alone" / "report.html").read_text(encoding="utf-8")


def test_a_file_of_others_that_can_not_be_read_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    shared(tmp_path, theirs(score(0.2, "clip")))
    place = tmp_path / "shared" / DIGEST
    (place / "bad.json").write_text('{"alignbench_scores": 1}', encoding="utf-8")
    (place / "worse.json").write_text("[", encoding="utf-8")
    found, unreadable = read_published(tmp_path / "shared", DIGEST * 4)
    assert [one.name for one in found] == ["theirs"]
    assert "data: expected a mapping" in unreadable["bad.json"]
    assert unreadable["worse.json"] == "it is no file of scores, as `alignbench publish` writes it"
    assert read_published(tmp_path / "shared", "f" * 64) == ((), {})


def test_the_command_writes_once_and_overwrites_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run", recorded([score()]))
    assert main(["publish", "run", "--to", "shared"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"1 score of mini-clip: shared/{DIGEST}/20261123-174443-coral.json\n")
    assert main(["publish", "run", "--to", "shared"]) == 0
    write(tmp_path / "run", recorded([score(0.4)]))
    assert main(["publish", "run", "--to", "shared"]) == 4
    assert "is there with other content; choose another name by --name" in capsys.readouterr().err
    assert main(["publish", "run", "--to", "shared", "--name", "other"]) == 0
    assert main(["publish", "run", "--to", "run/scores.json"]) == 4
    capsys.readouterr()
    (tmp_path / "base.json").write_text(recorded([score()]).score_file(), encoding="utf-8")
    assert main(["publish", "base.json", "--to", "shared"]) == 4
    assert "base.json is a baseline, which has not what ties are judged by" in capsys.readouterr().err


def test_a_run_shows_published_encoders_of_its_data(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=RECORD.replace("linear_cka", "calibrated_cka"))
    quiet = ("-p", "no:randomly", "-k", "calibrated_cka")
    assert run(project, *quiet).ret == 0
    assert main(["publish", str(project.path / "reports/latest"), "--to", str(project.path / "shared")]) == 0
    [folder] = (project.path / "shared").iterdir()
    (folder / "bad.json").write_text("{", encoding="utf-8")
    result = run(project, *quiet, "--align-against=shared", "--encoders=toy-a")
    result.stdout.fnmatch_lines(
        [
            "*= beside published encoders =*",
            "*toy-b (published) *",
            "bad.json can't be read: it is no file of scores, as `alignbench publish` writes*",
        ]
    )
    findings = Findings.read(project.path / "reports" / "latest")
    assert len(findings.published) == 1
    assert all(score.encoder == "toy-a" for score in findings.scores)


def test_a_folder_that_is_not_there_is_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--align-against: there is no folder "):
        shared_folder(tmp_path / "nowhere", tmp_path)
    assert shared_folder(None, tmp_path) is None
