"""Where a model's files come from: a folder, the Hub, or nowhere at all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError, WeightsMissingError
from alignbench.weights import hub
from alignbench.weights.digest import files_digest
from alignbench.weights.files import (
    CONFIGS,
    PREPROCESSING,
    TRANSFORMERS,
    is_transformers,
    read_json,
    weight_files,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# The same weights under another spec, for a repository that may have only a pickle.
_ELSEWHERE = {"openai/clip-vit-base-patch32": "open_clip:ViT-B-32/openai"}


@dataclass(frozen=True, slots=True)
class Location:
    """Where a model's files are, or what it takes to get them.

    Args:
        source: the repository, folder or file, as people name it.
        folder: the folder of the files; None if they have to be downloaded, or if there are none.
        weights: the weight files, once they are available.
        revision: the commit of the Hub's repository, or a digest of the files.
        download: the bytes that `load` would have to download; 0 if everything is available.
    """

    source: str
    folder: Path | None = None
    weights: tuple[Path, ...] = ()
    revision: str | None = None
    download: int = 0

    @property
    def at_hand(self) -> bool:
        """Whether `load` needs no network."""
        return self.download == 0

    @property
    def size(self) -> int:
        """The bytes of the weight files that are at hand; 0 where there are none."""
        return sum(path.stat().st_size for path in self.weights)

    @property
    def path(self) -> Path:
        """The folder of the files.

        Raises:
            ModelError: they are not available.
        """
        if self.folder is None:
            raise ModelError(f"{self.source}: its files are not at hand")
        return self.folder


class Source(ABC):
    """Where one model's files come from. It is cheap: nothing is read before `locate`."""

    label: str

    @property
    def part(self) -> str:
        """The part of a VLM that is meant: "vision", "projected" or "text"; "" for a whole model."""
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know about a model from here."""
        return ()

    @abstractmethod
    def config(self) -> dict[str, Any] | None:
        """Return the model's configuration if it is available without the network."""

    @abstractmethod
    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Find the files, or what it takes to get them.

        Args:
            wanted: prefixes of the keys that are needed; None for all keys.

        Raises:
            WeightsMissingError: one line, with the way out.
        """

    def local(self, wanted: tuple[str, ...] | None = None) -> Location | None:
        """Return the files if they are on this machine, else None; this never uses the network.

        Raises:
            WeightsMissingError: they are not here, and no download could get them.
        """
        return self.locate(wanted)

    def held(self, wanted: tuple[str, ...] | None = None) -> tuple[Path, ...] | None:
        """Return the weight files if they are on this machine, else None; none of them is read.

        Raises:
            WeightsMissingError: they are not here, and no download could get them.
        """
        located = self.local(wanted)
        return None if located is None else located.weights

    def fetch(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Return the files, downloading them if necessary.

        Raises:
            WeightsMissingError: one line, with the way out.
        """
        return self.locate(wanted)


@dataclass(frozen=True)
class FolderSource(Source):
    """A `save_pretrained` folder.

    Args:
        find: the folder, or a function that finds it when it is needed.
        label: its name in scores.
        hint: what to do if it does not exist.
        allow_pickle: whether `pytorch_model.bin` is acceptable.
        prefer: the layout of weights to use if there are several.
    """

    find: Path | Callable[[], Path]
    label: str
    hint: str = "give a folder made by save_pretrained"
    allow_pickle: bool = False
    prefer: str = TRANSFORMERS

    @cached_property
    def folder(self) -> Path:
        """The folder, whether or not it exists."""
        return self.find if isinstance(self.find, Path) else self.find()

    def config(self) -> dict[str, Any] | None:
        """Return config.json (or open_clip_config.json), or None if there is no such folder."""
        path = next((self.folder / name for name in CONFIGS if (self.folder / name).is_file()), None)
        return None if path is None else read_json(path)

    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Find the weights in the folder."""
        files = self.held(wanted)
        configs = [self.folder / name for name in CONFIGS if (self.folder / name).is_file()]
        return Location(self.label, self.folder, files, files_digest([*configs, *files]))

    def held(self, wanted: tuple[str, ...] | None = None) -> tuple[Path, ...]:
        """Return the weight files of the folder."""
        if not self.folder.is_dir():
            raise WeightsMissingError(f"{self.label}: there is no folder {self.folder}; {self.hint}")
        try:
            files = weight_files(
                self.folder,
                wanted=wanted,
                prefer=self.prefer,
                allow_pickle=self.allow_pickle,
                where=self.label,
            )
        except WeightsMissingError as error:
            raise WeightsMissingError(f"{error} in {self.folder}; {self.hint}") from error
        if self.config() is None:
            raise WeightsMissingError(f"{self.label}: no config.json in {self.folder}; {self.hint}")
        return files


@dataclass(frozen=True)
class HubSource(Source):
    """A repository of the Hugging Face Hub: its local cache first, then one quick query.

    Args:
        label: `org/name`.
        revision: branch, tag or commit; None for the main branch.
        name: the model's alias, for errors.
        stand_in: the built-in toy model that `--align-standins` would run instead.
        allow_pickle: whether `pytorch_model.bin` is acceptable.
        prefer: the layout of weights to use if there are several.
        needs: in the transformers layout, files of which the model needs at least one.
        notes: what a reader has to know about these weights.
        settings: what is known of the configuration before it is available.
    """

    label: str
    revision: str | None = None
    name: str = ""
    stand_in: str | None = None
    allow_pickle: bool = False
    prefer: str = TRANSFORMERS
    needs: tuple[str, ...] = PREPROCESSING
    notes: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def config(self) -> dict[str, Any] | None:
        """Return config.json if the local cache has it, else what is known without it."""
        snapshots = hub.cached_snapshots(self.label, self.revision)
        paths = [folder / name for folder in snapshots for name in CONFIGS if (folder / name).is_file()]
        return read_json(paths[0]) if paths else dict(self.settings) or None

    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Look in the local cache, then ask the Hub."""
        return self.local(wanted) or self._remote(wanted, download=False)

    def local(self, wanted: tuple[str, ...] | None = None) -> Location | None:
        """Return the content of the local cache, if a load needs nothing else."""
        return self._cached(wanted)

    def fetch(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Download what the local cache lacks."""
        return self.local(wanted) or self._remote(wanted, download=True)

    def _cached(self, wanted: tuple[str, ...] | None, *, whole: bool = True) -> Location | None:
        found = self._in_cache(wanted, whole=whole)
        return found if isinstance(found, Location) else None

    def _in_cache(self, wanted: tuple[str, ...] | None, *, whole: bool) -> Location | ModelError | None:
        """Return the content of the local cache, the reason why it can't be used, or None."""
        refused: ModelError | None = None
        for folder in hub.cached_snapshots(self.label, self.revision):
            try:
                files = weight_files(
                    folder,
                    wanted=wanted,
                    prefer=self.prefer,
                    allow_pickle=self.allow_pickle,
                    where=self.label,
                )
            except WeightsMissingError:
                continue
            except ModelError as error:
                refused = refused or error
                continue
            configs = [folder / name for name in CONFIGS if (folder / name).is_file()]
            if configs and not (whole and self._lacks_preprocessing(folder, configs[0])):
                return Location(self.label, folder, files, revision=folder.name)
        return refused

    def _lacks_preprocessing(self, folder: Path, config: Path) -> bool:
        # open_clip and timm describe in their configuration how an image becomes pixels.
        if self.prefer != TRANSFORMERS or not is_transformers(read_json(config)):
            return False
        return not any((folder / name).is_file() for name in self.needs)

    def _remote(self, wanted: tuple[str, ...] | None, *, download: bool) -> Location:
        held = self._in_cache(wanted, whole=False)
        partly = held if isinstance(held, Location) else None
        try:
            listing = hub.list_files(
                self.label, self.revision, wanted=wanted, prefer=self.prefer, allow_pickle=self.allow_pickle
            )
            if partly is not None and listing.bytes_to_fetch == 0:
                # The repository has no more, either: the load reports what is missing.
                return partly
            if not download:
                return Location(self.label, None, (), listing.commit, max(1, listing.bytes_to_fetch))
            hub.download(listing)
        except WeightsMissingError as error:
            lacking = "" if partly is None else f"without {' or '.join(self.needs)}: "
            # What is wrong with the cached files is more informative than that no others can be obtained.
            why = str(held) if isinstance(held, ModelError) and hub.unreachable() else lacking + str(error)
            raise WeightsMissingError(self._way_out(why)) from error
        located = self._cached(wanted, whole=False)
        if located is None:
            raise WeightsMissingError(self._way_out("it was downloaded, but the cache does not hold it"))
        return located

    def _way_out(self, problem: str) -> str:
        if hub.unreachable() is None:
            ways = [f"; or take {_ELSEWHERE[self.label]}"] if self.label in _ELSEWHERE else []
            ways += [f"; or run {self.stand_in} instead with --align-standins"] if self.stand_in else []
        else:
            alias = self.name or "NAME"
            embedded = f"{self.stand_in} (--align-standins runs it instead), " if self.stand_in else ""
            mine = f"a folder of yours ({alias}=FOLDER) or embeddings of yours ({alias}=npy:FILE.npy)"
            ways = [f"; without one, take {embedded}{mine}"]
        what = problem.removeprefix(f"{self.label}: ")
        return f"{self.name or self.label}: {self.label}: {what}{''.join(ways)}"


@dataclass(frozen=True)
class NoSource(Source):
    """A model that needs no file, such as an untrained control.

    Args:
        label: its name in scores.
        find_revision: returns what distinguishes two such models.
    """

    find_revision: Callable[[], str]
    label: str = "random"

    def config(self) -> dict[str, Any] | None:
        """Return None: there is no file."""
        return None

    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Return that nothing is needed."""
        return Location(self.label, revision=self.find_revision())


@dataclass(frozen=True)
class FileSource(Source):
    """One checkpoint file of a model that a library builds by name.

    Args:
        file: the checkpoint.
        label: its name in scores.
        settings: the values that a configuration file would have.
        notes: what a reader has to know about a file under this name.
    """

    file: Path
    label: str
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def config(self) -> dict[str, Any] | None:
        """Return the settings."""
        return dict(self.settings)

    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Find the file."""
        if not self.file.is_file():
            raise WeightsMissingError(f"{self.label}: there is no file {self.file}")
        return Location(self.label, self.file.parent, (self.file,), files_digest([self.file]))


class RelabelledSource(Source):
    """The files of another source under a label of its own."""

    inner: Source

    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Find the files."""
        return replace(self.inner.locate(wanted), source=self.label)

    def local(self, wanted: tuple[str, ...] | None = None) -> Location | None:
        """Return the files if they are on this machine."""
        located = self.inner.local(wanted)
        return located and replace(located, source=self.label)

    def fetch(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Download what is missing."""
        return replace(self.inner.fetch(wanted), source=self.label)


@dataclass(frozen=True)
class AskedSource(RelabelledSource):
    """A source that only a library can name, asked for when it is needed, because the import takes seconds.

    Args:
        label: its name in scores.
        ask: returns the source.
        settings: additions to its configuration.
    """

    label: str
    ask: Callable[[], Source]
    settings: Mapping[str, Any]

    @cached_property
    def inner(self) -> Source:  # type: ignore[override]
        """The source that the library named."""
        return self.ask()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know about the weights that the library named."""
        return self.inner.notes

    def config(self) -> dict[str, Any] | None:
        """Return the configuration, with the settings."""
        return {**(self.inner.config() or {}), **self.settings}
