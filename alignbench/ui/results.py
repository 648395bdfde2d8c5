"""The results of a run as the page shows them: an answer, a table, figures with captions, and files."""

from __future__ import annotations

import base64
import html
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.findings.answer import answer
from alignbench.findings.control import control_sentences
from alignbench.findings.files import dump, plain_score, write_text
from alignbench.plots import FIGURES, save
from alignbench.plots.declared import caption_of, needs_of
from alignbench.plots.fonts import boxes_message, fallback_fonts
from alignbench.show import scores_csv
from alignbench.show.race import race_tables
from alignbench.show.scaling import scaling_sentences
from alignbench.show.table import Row, score_table
from alignbench.show.terminal import retrieved
from alignbench.stats.prediction import worth
from alignbench.text import clean, cut
from alignbench.types import jsonable
from alignbench.ui.headline import counted, headline
from alignbench.ui.tables import pair_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from alignbench.findings import Findings
    from alignbench.session.options import Options
    from alignbench.session.result import Result
    from alignbench.stats.prediction import Prediction

TEXT_WIDTH = 90

Points = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class View:
    """The results of a run, ready to be shown.

    Args:
        answer: the answer and what readers should keep in mind, as HTML.
        head: the heads of the table's columns.
        rows: the rows of the table.
        figures: the figures with their captions, as HTML.
        files: the scores as CSV and as JSON, and a ZIP of the figures.
        points: name of a scatter plot -> x, y, type, sample and text of each sample.
    """

    answer: str
    head: list[str]
    rows: list[Row]
    figures: str
    files: tuple[Path, ...]
    points: Points


def view_of(
    result: Result,
    figures: Sequence[str],
    *,
    folder: Path,
    name: str,
    options: Options,
    command: str,
    notes: Iterable[str] = (),
    tell: Callable[[str], None] = lambda what: None,
) -> View:
    """Return what the page shows of a run, and write its files.

    Args:
        result: the result of the experiments.
        figures: the names of the figures of the tab.
        folder: an empty folder for the files.
        name: the name of the files, without suffix.
        options: the options of the run.
        command: the command that does the same in a terminal.
        notes: further sentences for the reader.
        tell: is told what is being drawn.
    """
    problems: list[str] = []
    drawn = _draw(result, figures, folder, problems.append, tell)
    run = {"command": command, "options": jsonable(options.to_dict()), "seed": options.seed}
    scores = {"scores": [plain_score(score) for score in result.scores], "run": run}
    files = (folder / f"{name}.csv", folder / f"{name}.json", folder / f"{name}-figures.zip")
    write_text(files[0], scores_csv(result.scores))
    write_text(files[1], dump(scores, indent=1))
    with zipfile.ZipFile(files[2], "w", zipfile.ZIP_DEFLATED) as archive:
        for png, _ in drawn.values():
            for path in (png, png.with_suffix(".svg")):
                archive.write(path, path.name)
    return View(
        _answer(result.findings, command, [*notes, *problems, *_not_drawn(figures, drawn)]),
        *score_table(result.scores),
        "".join(_figure(figure, png, titled=titled) for figure, (png, titled) in drawn.items()),
        files,
        _points(result),
    )


def _draw(
    result: Result,
    names: Sequence[str],
    folder: Path,
    complain: Callable[[str], None],
    tell: Callable[[str], None],
) -> dict[str, tuple[Path, bool]]:
    """Draw the figures that the scores and arrays allow; return their files, and which show their titles."""
    inputs = result.inputs
    for problem in result.problems:
        complain(problem)
    drawn: dict[str, tuple[Path, bool]] = {}
    unprintable: set[str] = set()
    for name in names:
        tell(f"drawing {caption_of(name).title}")
        try:
            figure = FIGURES.get(name)(inputs)
            if figure is not None:
                titled = figure.get_suptitle().startswith(caption_of(name).title)
                drawn[name] = save(figure, folder / name)[0], titled
                unprintable |= fallback_fonts(figure).missing
        except Exception as error:  # as in a run's report, a figure must not cost the numbers
            complain(f"the figure {name} could not be drawn ({type(error).__name__}: {error})")
    if unprintable:
        complain(boxes_message(unprintable))
    return drawn


def _figure(name: str, png: Path, *, titled: bool) -> str:
    """Return a figure with its caption; a title that is in the picture is for screen readers only."""
    caption = caption_of(name)
    title, read, not_shown = map(_safe, (caption.title, caption.read, caption.not_shown))
    unseen = ' class="ab-unseen"' if titled else ""
    data = base64.b64encode(png.read_bytes()).decode()
    return (
        f'<figure class="ab-figure"><h2{unseen}>{title}</h2>'
        f'<div class="ab-scroll" tabindex="0" role="group" aria-label="{title}">'
        f'<img alt="{title} {read}" src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{read} <strong>It does not show:</strong> {not_shown}</figcaption></figure>"
    )


def _not_drawn(names: Iterable[str], drawn: Iterable[str]) -> list[str]:
    """Return a sentence with the figures of the tab that were not drawn, and what each of them needs."""
    missing = [f"{name}{needs_of(name)}" for name in names if name not in set(drawn)]
    return [f"Not drawn, because the run lacks what they show: {', '.join(missing)}."] if missing else []


def _answer(findings: Findings, command: str, notes: Sequence[str]) -> str:
    scores = findings.scores
    parts = [
        f'<p class="ab-warning"><b>Warning:</b> {_safe(sentence)}</p>' for sentence in findings.toy_warnings
    ]
    names = {model: _name(model) for score in scores for model in (score.encoder, score.llm) if model}
    rankings = [ranking for ranking in findings.rankings if ranking.metric is not None]
    for ranking in rankings:
        lines = answer(ranking, _name, _safe)
        start = f"For {_name(ranking.llm)}: " if len(rankings) > 1 else ""
        parts.append(f'<p class="ab-headline">{start}{lines[0]}</p>')
        parts.append("".join(f"<p>{line}</p>" for line in lines[1:]))
    races = race_tables(scores)
    parts += [f'<p class="ab-headline">{_safe(race.statement)}</p>' for race in races]
    sizes = scaling_sentences(scores, findings.labels.__getitem__)
    parts += [f'<p class="ab-headline">{_safe(sentence)}</p>' for sentence in sizes]
    sentences = retrieved(scores, names)
    if not rankings and not races and not sizes:
        said = headline(scores, _name) or (sentences.pop(0) if sentences else counted(scores))
        parts.append(f'<p class="ab-headline">{said}</p>')
    parts.append(pair_table(scores, _name, _safe))
    sentences += control_sentences(findings.controls, _name, _safe)
    parts += [*(f"<p>{sentence}</p>" for sentence in sentences), *_predicted(findings.prediction)]
    if notes:
        parts.append(f'<ul class="ab-notes">{"".join(f"<li>{_safe(note)}</li>" for note in notes)}</ul>')
    flags = findings.flags
    if flags:
        items = "".join(f"<li><b>{_safe(flag)}</b>: {_safe(meaning)}</li>" for flag, meaning in flags.items())
        parts.append(
            f"<details><summary>What the notes in the table mean</summary><ul>{items}</ul></details>"
        )
    code = f"<pre><code>{_safe(command)}</code></pre>"
    parts.append(f"<details><summary>The same in a terminal</summary>{code}</details>")
    return f'<div class="ab-answer">{"".join(parts)}</div>'


def _predicted(prediction: Prediction | None) -> list[str]:
    """Return whether scores predict retrieval, as HTML, in the words of the summary."""
    if prediction is None:
        return []
    links = [f"{link.metric} with {link.outcome}: {worth(link)}" for link in prediction.first]
    items = "".join(f"<li>{_safe(link)}</li>" for link in links)
    return [
        f"<p><b>Does a score predict retrieval?</b> {_safe(prediction.statement)}</p>",
        f"<ul>{items}</ul>" if items else "",
        f"<p>{_safe(prediction.paradox)}</p>" if prediction.paradox else "",
    ]


def _points(result: Result) -> Points:
    """Return the points of each layout with their samples."""
    samples = () if result.dataset is None else result.dataset.samples
    texts = {sample.id: sample.texts[0] if sample.texts else "" for sample in samples}
    layouts = [arrays for name, arrays in result.arrays.items() if name.startswith("layout-")]
    return {f"{arrays['name']}, {arrays['method']}": _layout(arrays, texts) for arrays in layouts}


def _layout(arrays: Mapping[str, NDArray[np.generic]], texts: Mapping[str, str]) -> list[dict[str, Any]]:
    xy: NDArray[Any] = arrays["points"]
    return [
        {
            "x": float(x),
            "y": float(y),
            "type": clean(label),
            "sample": clean(name),
            "text": cut(clean(texts.get(str(name), "")), TEXT_WIDTH),
        }
        for (x, y), label, name in zip(xy.tolist(), arrays["labels"], arrays["ids"], strict=True)
    ]


def _safe(text: object) -> str:
    return html.escape(clean(text))


def _name(text: object) -> str:
    return f"<b>{_safe(text)}</b>"
