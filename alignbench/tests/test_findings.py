"""What the scores of a run say: worked out once, read by everything that shows it, and asked in Python."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import alignbench
from alignbench.errors import DataError, InputError, UnknownNameError
from alignbench.findings import Findings, compare, findings
from alignbench.show import markdown_diff, summary_markdown, terminal_diff, terminal_table, write_run
from alignbench.stats import standings
from alignbench.tests.ranking_fakes import paired, typed
from alignbench.tests.report_fakes import make_inputs, make_model, make_run
from alignbench.tests.toys import CONFTEST, run
from alignbench.types import Null

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = Path(__file__).resolve().parents[1]
COMPUTED = ("rankings", "predicts", "variations", "against_control", "toy_warnings")
ABOVE, AT_CHANCE = (Null("exact", 0.0, 0.02, 20.0, p, 999) for p in (0.001, 0.4))


@pytest.mark.parametrize(
    ("values", "fields", "best", "ties"),
    [
        ({"a": 0.6, "b": 0.4, "c": 0.39}, {"null": ABOVE}, "a", ()),
        ({"c": 0.2, "b": 0.40, "a": 0.41}, {"null": ABOVE}, None, ("a", "b")),
        ({"a": 0.6, "b": 0.4}, {"null": AT_CHANCE}, None, ()),
        ({"a": 0.6, "b": 0.4}, {"null": ABOVE, "n": 19}, None, None),
        ({"a": 0.6}, {"null": ABOVE}, "a", ()),
    ],
    ids=["one is the best", "two tie", "none beats shuffled pairs", "ties are unknown", "one encoder"],
)
def test_only_what_is_better_by_more_than_chance_is_the_best(
    values: dict[str, float], fields: dict[str, Any], best: str | None, ties: tuple[str, ...] | None
) -> None:
    found = Findings.of(paired(values, **fields))
    assert (found.best("mini-llama"), found.ties("mini-llama")) == (best, ties)
    assert found.ranking("mini-llama").order == tuple(sorted(values))
    assert (best is None) != found.answer("mini-llama").startswith(f"Best: {best} (calibrated_cka")


def test_an_llm_is_found_by_its_name_and_by_its_label() -> None:
    model = make_model("mini-llama", "text", stand_in_for="llama3")
    scores = paired({"a": 0.6, "b": 0.4}, llm=model.label)
    found = Findings.of(scores, make_run(models=[make_model("a"), make_model("b"), model]))
    assert found.best("mini-llama") == found.best("mini-llama (stand-in for llama3)") == "a"
    # A toy stood in for it: nothing is known of the model itself.
    with pytest.raises(
        UnknownNameError, match=r"unknown LLM 'llama3'.*Known: mini-llama \(stand-in for llama3\)"
    ):
        found.best("llama3")


def test_the_only_llm_need_not_be_named() -> None:
    one = paired({"a": 0.6, "b": 0.4}, null=ABOVE)
    assert Findings.of(one).best() == "a"
    assert Findings.of(one).answer() == Findings.of(one).answer("mini-llama")
    several = Findings.of([*one, *paired({"a": 0.6, "b": 0.4}, llm="mini-qwen")])
    with pytest.raises(InputError, match="llm: name one of the run's LLMs: mini-llama, mini-qwen"):
        several.best()
    with pytest.raises(InputError, match="llm: the run has no score of an encoder with an LLM"):
        Findings.of([]).ranking()


def test_a_data_type_is_asked_for_by_its_name() -> None:
    found = Findings.of(typed())
    assert (found.best("mini-llama", "chart"), found.ties("mini-llama", "document")) == ("a", ("b", "c"))
    assert found.ranking("mini-llama").data_type == "all"
    with pytest.raises(
        UnknownNameError, match=r"mini-llama: unknown data type 'charts'. Did you mean 'chart'"
    ):
        found.ranking("mini-llama", "charts")
    apart = Findings.of(score for score in typed() if score.data_type != "all")
    with pytest.raises(InputError, match="name a data type: chart, document, table"):
        apart.best("mini-llama")
    one = Findings.of(score for score in typed() if score.data_type == "chart")
    assert one.best("mini-llama") == one.best("mini-llama", "chart") == "a"


@pytest.mark.slow
def test_a_recorded_run_says_what_its_scores_said(tmp_path: Path) -> None:
    found = Findings.of(make_inputs().scores, make_run())
    write_run(tmp_path / "run", found, figures=False)
    read = alignbench.Findings.read(tmp_path / "run")
    assert read.scores == found.scores
    assert read.rankings == found.rankings
    assert read.rankings_by_type == found.rankings_by_type
    assert read.prediction == found.prediction
    assert read.variations == found.variations
    with pytest.raises(DataError, match="found neither"):
        Findings.read(tmp_path)


@pytest.mark.slow
def test_the_example_of_the_docs_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (PACKAGE / "docs" / "report.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    write_run(tmp_path / "reports" / "latest", Findings.of(make_inputs().scores, make_run()), figures=False)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "report.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "Best: mini-clip" in printed


def counting(counts: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def counted(*args: Any, **kwargs: Any) -> Any:
        counts[name] += 1
        return function(*args, **kwargs)

    return counted


@pytest.mark.slow
def test_every_part_is_computed_once_whoever_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = make_inputs(("mini-clip", "random-vit"), ("mini-llama",)).scores
    counts: Counter[str] = Counter()
    for name in COMPUTED:
        monkeypatch.setattr(findings, name, counting(counts, name, getattr(findings, name)))
    tables: Counter[tuple[Any, ...]] = Counter()

    def judged(scores: Any) -> Any:
        tables[tuple(sorted((e, s.experiment, *map(str, s.key)) for e, s in scores.items()))] += 1
        return standings(scores)

    monkeypatch.setattr(findings, "standings", judged)
    found = Findings.of(scores, make_run())
    write_run(tmp_path, found, figures=False)
    found.figure_inputs()
    comparison = compare(found, found)
    lines = [
        terminal_table(found),
        summary_markdown(found),
        terminal_diff(comparison),
        markdown_diff(comparison),
    ]
    assert all(lines)
    assert {name: counts[name] for name in COMPUTED} == dict.fromkeys(COMPUTED, 1)
    assert set(tables.values()) == {1}
    assert len(tables) > 4  # on all data, on each type, and in the matrix


COUNTING = """
import atexit
import json
from collections import Counter
from alignbench.findings import findings

counts = Counter()


def counted(name, function):
    def inner(*args, **kwargs):
        counts[name] += 1
        return function(*args, **kwargs)
    return inner


for name in {names}:
    setattr(findings, name, counted(name, getattr(findings, name)))
atexit.register(lambda: open("counts.json", "w").write(json.dumps(counts)))
"""


def test_a_run_computes_its_findings_once(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST + COUNTING.format(names=(*COMPUTED, "standings")))
    project.makepyfile(
        test_it="import pytest\npytestmark = pytest.mark.cka\n"
        "def test_it(pair, record):\n    record('calibrated_cka', pair)\n"
    )
    assert run(project, "-p", "no:randomly").ret == 0
    counts = json.loads((project.path / "counts.json").read_text(encoding="utf-8"))
    # One LLM on all data is one table.
    assert counts == dict.fromkeys((*COMPUTED, "standings"), 1)


@pytest.mark.parametrize("room", ["plots", "show", "ui", "plugin", "session", "cli"])
def test_what_shows_findings_decides_nothing(room: str) -> None:
    deciding = {*COMPUTED, "standings", "tie_groups", "probability_best"}
    for path in (PACKAGE / room).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        # The plan warns before there are scores.
        allowed = {"toy_warnings"} if room in {"plugin", "session", "cli"} else set()
        assert not names & deciding - allowed, path.name


@pytest.mark.slow
def test_a_session_gives_the_findings_of_its_result(tmp_path: Path) -> None:
    session = alignbench.Session(
        encoders=["mini-clip", "random-vit"], llms=["mini-llama"], n_samples=8, permutations=19
    )
    result = session.run("cka")
    assert repr(session) == "<session of mini-clip, random-vit, mini-llama>"
    assert repr(result) == f"<Result: {len(result.scores)} scores of cka>"
    assert str(result) == "\n".join(terminal_table(result.findings))
    assert repr(result.findings) == f"<findings of {len(result.scores)} scores, with rankings for mini-llama>"
    assert result.findings.best("mini-llama") == result.findings.ranking("mini-llama").winner
    assert {str(score.encoder) for score in result.findings.scores} == {"mini-clip", "random-vit"}
    path = result.save(tmp_path / "run", figures=False)
    assert Findings.read(path).rankings == result.findings.rankings
