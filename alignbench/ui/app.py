"""The state that all visitors of the page share, and what a click on Run does, without gradio."""

from __future__ import annotations

import shutil
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from alignbench.errors import ConfigError
from alignbench.experiments.attention.scores import Subject, what_it_lacks
from alignbench.ui.jobs import Job, JobState
from alignbench.ui.models import RecentModels, Sessions
from alignbench.ui.results import View, view_of
from alignbench.ui.uploads import open_upload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from PIL.Image import Image

    from alignbench.session.options import Options
    from alignbench.session.session import Session
    from alignbench.ui.menu import Menu
    from alignbench.ui.tabs import Tab

RESULTS = 16
"""The number of jobs whose files are kept; the server keeps copies of what it shows for two hours."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a visitor chose.

    Args:
        options: the options, as for a pytest run.
        image: the name and content of the uploaded image, if there is one.
        prompts: the texts to look for in it.
        command: the command that does the same in a terminal.
    """

    options: Options
    image: tuple[str, Image] | None
    prompts: tuple[str, ...]
    command: str


@dataclass
class App:
    """The state of the page.

    Args:
        menu: the choices that visitors have.
        folder: the folder in which the server keeps uploads and results.
    """

    menu: Menu
    folder: Path
    sessions: Sessions = field(default_factory=Sessions)
    loaded: RecentModels = field(default_factory=RecentModels)
    jobs: dict[tuple[str, str], Job[View]] = field(default_factory=dict)
    _results: deque[Path] = field(default_factory=deque)

    def run(self, tab: Tab, values: Mapping[str, Any], session: str) -> Iterator[JobState | View]:
        """Run the experiments of a tab; yield the progress, and finally the results.

        Args:
            tab: the tab.
            values: name of a field -> the value that the visitor chose.
            session: the id of the visitor's session.

        Raises:
            AlignbenchError: something is wrong that the visitor can fix.
            Cancellation: the visitor stopped the run.
        """
        request = self._check(tab, values)
        job: Job[View] = Job(lambda job: self._compute(tab, request, job))
        key = (session, tab.experiment)
        self.jobs[key] = job
        try:
            yield from job.follow()
            yield job.result()
        finally:
            if self.jobs.get(key) is job:
                del self.jobs[key]

    def stop(self, tab: Tab, session: str) -> None:
        """Stop a visitor's run at its next step."""
        if (job := self.jobs.get((session, tab.experiment))) is not None:
            job.stop()

    def _check(self, tab: Tab, values: Mapping[str, Any]) -> _Request:
        chosen = dict(values)
        image = open_upload(chosen.pop("upload", None), self.folder)
        prompts = chosen.pop("prompts", [])
        if prompts and image is None:
            raise ConfigError("there is a text to look for, but no image to look in: upload one")
        chosen |= tab.options
        options = self.menu.options(chosen)
        if image is not None:
            chosen |= {"images": [image[0]], "prompts": prompts}
        return _Request(options, image, tuple(prompts), self.menu.command(tab.experiment, chosen))

    def _compute(self, tab: Tab, request: _Request, job: Job[View]) -> View:
        session = self.sessions.get(request.options)
        session.progress, session.pool = job, self.loaded
        session.subject = Subject(() if request.image is None else (request.image,), request.prompts)
        try:
            result = session.run(*tab.runs, steps=job)
            notes = _without_maps(session) if request.prompts else []
        except BaseException:
            self.sessions.forget(session)
            raise
        finally:
            session.progress = None
            self.loaded.tidy()
        return view_of(
            result,
            tab.figures,
            folder=self._place(tab),
            name=f"alignbench-{tab.experiment}",
            options=request.options,
            command=request.command,
            notes=[*notes, *_skipped(result.skipped), *job.warnings],
            tell=job.say,
        )

    def _place(self, tab: Tab) -> Path:
        """Return an empty folder for the files of a job, and remove those of old jobs."""
        self._results.append(Path(mkdtemp(prefix=f"{tab.experiment}-", dir=self.folder)))
        while len(self._results) > RESULTS:
            shutil.rmtree(self._results.popleft(), ignore_errors=True)
        return self._results[-1]


def _skipped(cells: Mapping[str, str]) -> list[str]:
    """Return why cells were skipped, in one sentence for each reason."""
    by_reason: dict[str, list[str]] = {}
    for cell, why in cells.items():
        by_reason.setdefault(why, []).append(cell)
    return [
        f"{of[0]}: {why}" if len(of) == 1 else f"{len(of)} results, such as {of[0]}: {why}"
        for why, of in by_reason.items()
    ]


def _without_maps(session: Session) -> list[str]:
    """Return why some encoders can't look for a text, in one sentence each."""
    lacks = [what_it_lacks(encoder) for encoder in session.encoders.values()]
    return [why["texts"] for why in lacks if "texts" in why]
