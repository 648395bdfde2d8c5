"""Makes the page from a run's folder, the templates, one style sheet and one script."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from alignbench.experiments import EXPERIMENTS
from alignbench.failures import missing
from alignbench.findings.control import control_sentences
from alignbench.findings.facts import facts
from alignbench.findings.files import ARTIFACTS, REPORT, SCORES, write_text
from alignbench.findings.findings import Findings
from alignbench.plots.declared import not_drawn
from alignbench.plots.inputs import read_artifacts
from alignbench.show.html.answers import boards, metric_tables
from alignbench.show.html.concerns import concerns, raised_flags
from alignbench.show.html.figures import figure_views
from alignbench.show.html.frame import asset, environment, policy
from alignbench.show.html.published import published_context
from alignbench.show.html.rows import score_rows
from alignbench.show.html.samples import influences, known_samples, space
from alignbench.show.race import HEAD as RACE_HEAD
from alignbench.show.race import LEGEND as RACE_LEGEND
from alignbench.show.race import NUMBERS as RACE_NUMBERS
from alignbench.show.race import race_tables
from alignbench.show.scaling import scaling_sentences
from alignbench.show.speed import speed_report
from alignbench.show.spreadsheet import scores_csv
from alignbench.show.tables import tables_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alignbench.types import Failure, Score

_OPEN_FIGURES = 4  # the others are folded, so that the page can be read through


def write_report(
    run_folder: Path | str, problems: Sequence[str] = (), findings: Findings | None = None
) -> Path:
    """Write report.html into a run's folder, from its files; the same folder gives the same bytes.

    Args:
        run_folder: the run's folder; the run may be an earlier one, or one that was killed.
        problems: what went wrong while figures were drawn.
        findings: the run's findings; by default they are read from its folder.

    Returns:
        The page's path.

    Raises:
        DataError: there is no run in the folder, or its format is newer than this version.
    """
    folder = Path(run_folder)
    path = folder / REPORT
    write_text(path, report_html(folder, problems, findings))
    return path


def report_html(
    run_folder: Path | str, problems: Sequence[str] = (), findings: Findings | None = None
) -> str:
    """Return the page of a run as text; see `write_report`."""
    folder = Path(run_folder)
    if findings is None:
        findings = Findings.read(folder)
    run, scores, labels, failures = findings.run, findings.scores, findings.labels, findings.failures
    unreadable: list[str] = list(problems)
    artifacts = read_artifacts(folder / ARTIFACTS, unreadable.append).others
    rows = score_rows(scores, run)
    known = known_samples(artifacts)
    drawn = space(artifacts, known, scores, labels, [model.label for model in findings.models])
    figures = figure_views(folder, failures, scores)
    style, script = (asset(name) for name in ("report.css", "report.js"))
    context: dict[str, Any] = {
        "policy": policy(style, script),
        "style": Markup(style),
        "script": Markup(script),
        "run": run,
        "models": findings.models,
        "facts": facts(run),
        "toys": findings.toy_warnings,
        "answers": boards(findings.rankings, findings, rows),
        "boards": boards([*findings.rankings, *findings.details_by_type], findings, rows),
        "metric_tables": metric_tables(rows),
        "concerns": concerns(
            run,
            rows,
            control_sentences(findings.controls, labels.__getitem__),
            list(dict.fromkeys(unreadable)),
        ),
        "flags": raised_flags(rows),
        "figures": figures,
        "open_figures": _OPEN_FIGURES,
        "not_drawn": not_drawn([figure.name for figure in figures]),
        "space": drawn,
        "space_data": _for_script(drawn.data) if drawn else Markup(""),
        "influences": influences(artifacts, known, labels),
        "known": len(known),
        "prediction": findings.prediction,
        "tables": tables_of(scores),
        "races": race_tables(scores),
        "race_head": RACE_HEAD,
        "race_numbers": RACE_NUMBERS,
        "race_legend": RACE_LEGEND,
        "scaling": scaling_sentences(scores, labels.__getitem__),
        "labels": labels,
        "speed": _speed(scores, labels, failures),
        "experiments": [
            (
                _title(name),
                name,
                [row for row in rows if row.score.experiment == name],
                missing((name,), failures, scores),
            )
            for name in dict.fromkeys([*(s.experiment for s in scores), *(f.experiment for f in failures)])
        ],
        "rows": rows,
        "measured": {row.score.metric: row.what for row in rows if row.what},
        "downloads": _downloads(folder, scores),
        **published_context(findings),
    }
    return environment().get_template("page.html").render(context)


def _title(name: str) -> str:
    """Return the heading of an experiment's scores; its name if it has none, or is not registered here."""
    return EXPERIMENTS.get(name).title or name if name in EXPERIMENTS else name


def _for_script(data: object) -> Markup:
    """Return JSON that cannot end its script element or its line, whatever text is in it."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _speed(
    scores: Sequence[Score], labels: Mapping[str, str], failures: Sequence[Failure]
) -> dict[str, Any] | None:
    report = speed_report(scores)
    if report is None:
        return None
    tables = [*report.tables, *filter(None, [report.rounds])]
    named = [(t.head, [(labels.get(name, name), cells) for name, *cells in t.rows]) for t in tables]
    return {
        "conditions": report.conditions,
        "tables": named,
        "sentence": report.sentence,
        "legend": report.legend,
        "missing": missing(("speed",), failures, scores),
    }


def _downloads(folder: Path, scores: Sequence[Score]) -> dict[str, Markup]:
    """Return file name -> data URI; JSON is compressed, and the page's script decompresses it."""
    files = {"scores.csv": _uri("text/csv;charset=utf-8", scores_csv(scores).encode("utf-8", "replace"))}
    path = folder / SCORES
    if path.exists():
        files["scores.json.gz"] = _uri("application/gzip", gzip.compress(path.read_bytes(), mtime=0))
    return files


def _uri(kind: str, data: bytes) -> Markup:
    return Markup(f"data:{kind};base64,{base64.b64encode(data).decode()}")
