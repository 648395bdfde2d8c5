"""What all visitors of the page share, and what a click does: without gradio."""

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
"""Jobs whose files are kept; the server copies what it shows, and keeps its copies for two hours."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What a visitor chose.

    Args:
        options: as of a pytest run.
        image: that was uploaded, with its name.
        prompts: what is looked for in it.
        command: that does the same in a terminal.
    """

    options: Options
    image: tuple[str, Image] | None
    prompts: tuple[str, ...]
    command: str


@dataclass
class App:
    """The state of the page.

    Args:
        menu: what visitors may choose.
        folder: where the server keeps uploads and results.
    """

    menu: Menu
    folder: Path
    sessions: Sessions = field(default_factory=Sessions)
    loaded: RecentModels = field(default_factory=RecentModels)
    jobs: dict[tuple[str, str], Job[View]] = field(default_factory=dict)
    _results: deque[Path] = field(default_factory=deque)

    def run(self, tab: Tab, values: Mapping[str, Any], session: str) -> Iterator[JobState | View]:
        """Make a tab's study; yield how far it is, and at last its results.

        Args:
            tab: which.
            values: what was chosen, by the names of the fields.
            session: the visitor's.

        Raises:
            AlignbenchError: the visitor can mend it.
            Cancellation: the visitor stopped it.
        """
        chosen = self._check(tab, values)
        job: Job[View] = Job(lambda job: self._make(tab, chosen, job))
        key = (session, tab.experiment)
        self.jobs[key] = job
        try:
            yield from job.follow()
            yield job.result()
        finally:
            if self.jobs.get(key) is job:
                del self.jobs[key]

    def stop(self, tab: Tab, session: str) -> None:
        """Let a visitor's work end with its next step."""
        if (job := self.jobs.get((session, tab.experiment))) is not None:
            job.stop()

    def _check(self, tab: Tab, values: Mapping[str, Any]) -> _Request:
        given = dict(values)
        image = open_upload(given.pop("upload", None), self.folder)
        prompts = given.pop("prompts", [])
        if prompts and image is None:
            raise ConfigError("there is a text to look for, but no image to look in: upload one")
        given |= tab.options
        options = self.menu.options(given)
        shown_as = {"images": [image[0]], "prompts": prompts} if image is not None else {}
        command = self.menu.command(tab.experiment, {**given, **shown_as})
        return _Request(options, image, tuple(prompts), command)

    def _make(self, tab: Tab, chosen: _Request, job: Job[View]) -> View:
        session = self.sessions.get(chosen.options)
        session.progress, session.pool = job, self.loaded
        session.subject = Subject(() if chosen.image is None else (chosen.image,), chosen.prompts)
        try:
            result = session.run(*tab.runs, steps=job)
            notes = _without_maps(session) if chosen.prompts else []
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
            options=chosen.options,
            command=chosen.command,
            notes=[*notes, *(f"{cell}: {why}" for cell, why in result.skipped.items()), *job.warnings],
            tell=job.say,
        )

    def _place(self, tab: Tab) -> Path:
        """Return an empty folder for the files of a job; those of old jobs go."""
        self._results.append(Path(mkdtemp(prefix=f"{tab.experiment}-", dir=self.folder)))
        while len(self._results) > RESULTS:
            shutil.rmtree(self._results.popleft(), ignore_errors=True)
        return self._results[-1]


def _without_maps(session: Session) -> list[str]:
    """Return why encoders can't look for a text, one sentence each."""
    lacks = [what_it_lacks(encoder) for encoder in session.encoders.values()]
    return [why["texts"] for why in lacks if "texts" in why]
