"""Readers of data sets: their registry, what they are asked, and how one is recognised."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from alignbench.columns import is_missing
from alignbench.datasets.finding import first_folder, image_folder
from alignbench.datasets.row import shown
from alignbench.datatypes import check_type
from alignbench.errors import ConfigError, DataError
from alignbench.paths import is_dir
from alignbench.registry import Registry, unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from alignbench.config import Config
    from alignbench.datasets.dataset import DroppedRow
    from alignbench.datasets.row import Draft, Row

ROLES = ("image", "text", "question", "type", "group", "id")
"""What a column can be: `--align-columns ROLE=COLUMN`."""

_TYPE_KEYS = ("data_type", "type")


_checked = lru_cache(maxsize=1024)(check_type)  # millions of rows have few types


@dataclass(frozen=True)
class Place:
    """What a reader reads.

    Args:
        folder: the folder that names of images are relative to.
        files: the files, in order; empty if the folder is read as a whole.
    """

    folder: Path
    files: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """What to call it in messages: the file, the number of files, or the folder."""
        if not self.files:
            return f"{self.folder.name}/"
        first = self.files[0].name
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How data are laid out, where a reader could not know.

    Args:
        columns: role -> the columns that have it; a role that is not here is recognised by the column's name.
        type_from: where types come from: "folder" (the first folder of the image's name), "none" (all rows
            have one type), "column:NAME"; None for what the format means.
        image_root: a further folder in which images are looked for.
        follow_links: whether a link may lead out of the folders of the images.
    """

    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    type_from: str | None = None
    image_root: Path | None = None
    follow_links: bool = False

    def __post_init__(self) -> None:
        """Check the columns.

        Raises:
            ConfigError: a role is unknown, or its columns are not in a tuple.
        """
        for role, names in self.columns.items():
            if role not in ROLES:
                raise ConfigError(f"columns: {unknown('role', role, dict.fromkeys(ROLES))}")
            if not isinstance(names, tuple):
                raise ConfigError(f"columns: {role}: expected a tuple of names, such as ({names!r},)")

    def reading(self, config: Config, types: Sequence[str] | None) -> Reading:
        """Return what a reader is told: this layout, the configuration and the types that are wanted.

        Raises:
            ConfigError: the image root is no folder.
        """
        if self.image_root is not None and not is_dir(self.image_root):
            raise ConfigError(f"--align-image-root {self.image_root}: no such folder")
        return Reading(**vars(self), config=config, types=None if types is None else tuple(types))


ANY = Layout()


@dataclass(frozen=True, kw_only=True)
class Reading(Layout):
    """What a reader is told.

    Args:
        config: the configuration.
        types: the data types that are wanted; None for all.
    """

    config: Config
    types: tuple[str, ...] | None = None

    def folders(self, folder: Path) -> tuple[Path, ...]:
        """Return the folders in which the images of a label file in `folder` are looked for."""
        further = () if self.image_root is None else (self.image_root,)
        return (folder, image_folder(folder), *further)

    @property
    def type_column(self) -> str | None:
        """The column that names the type, if an option says so."""
        if self.type_from is not None and self.type_from.startswith("column:"):
            return self.type_from.removeprefix("column:")
        return self.columns["type"][0] if self.columns.get("type") else None

    def type_of(
        self,
        record: Mapping[str, Any],
        image: object,
        *,
        keys: Sequence[str] = _TYPE_KEYS,
        folder: bool = False,
    ) -> str:
        """Return the type of a row; "" if it has none.

        Args:
            record: the row's columns.
            image: its image; a name has folders.
            keys: the columns that name a type in this format.
            folder: whether the first folder of the image's name is the type in this format.

        Raises:
            DataError: the column that an option names is not there, or the type can't have this name.
        """
        name: object = ""
        column = self.type_column
        if column is not None:
            if column not in record:
                known = ", ".join(sorted(map(str, record))) or "none"
                raise DataError(f"no column {column!r} to take the type from; there are: {known}")
            name = record[column]
        elif self.type_from is None:
            name = next((record[key] for key in keys if record.get(key)), "")
        by_folder = self.type_from == "folder" or (self.type_from is None and folder and not name)
        if column is None and by_folder and isinstance(image, str):
            name = first_folder(image)
        if name == "" or is_missing(name):
            return ""
        try:
            return _checked(str(name))
        except DataError as error:
            its = f"image {shown(str(image))}: its folder" if by_folder and column is None else "its type"
            raise DataError(f"{its} {error}") from error


@dataclass(frozen=True)
class Reader:
    """A way in which people keep images with texts.

    Args:
        name: the name in `READERS`, and in front of a path that is to be read so: `table:data.txt`.
        summary: what it reads, for lists.
        recognise: returns why a place is read by this reader, as the end of a sentence that begins with "it
            has", or None if it is not.
        read: yields a `Row` for each row of the place, or a `DroppedRow` with the reason why there is none. A
            reader of large data may yield a `Draft` in place of a `Row`.
        fallback: whether other readers that recognise something are preferred.
    """

    name: str
    summary: str
    recognise: Callable[[Place, Reading], str | None]
    read: Callable[[Place, Reading], Iterable[Row | Draft | DroppedRow]]
    fallback: bool = False


READERS: Registry[Reader] = Registry("reader", "alignbench.readers")
