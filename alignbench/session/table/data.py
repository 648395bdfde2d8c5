"""Options that choose data and say how they are laid out."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from alignbench.options import Option
from alignbench.session import checks
from alignbench.session.table.names import Names


class DataOptions:
    """The options of the group `data`."""

    data_types = Option[Names | None](
        help="the data types to use (default: all that the data has)",
        kind="names",
        group="data",
        metavar="NAME",
        check=checks.no_reserved_type,
        flag="--data-types",
    )
    n_samples = Option[int | Literal["all"]](
        help="samples per data type, or `all` (default: 30)",
        kind="integer",
        group="data",
        metavar="N",
        configured="n_samples",
        least=1,
        flag="--n-samples",
        label="Samples per type",
        most=5000,
        word="all",
    )
    data = Option[str | None](
        help="your data: a file, a folder, READER:path, hf:org/name, or a registered name; see docs/data.md",
        group="data",
        metavar="SPEC",
    )
    columns = Option[Names](
        help="what the columns of a table are: image=, text= (or text=none), question=, type=, group=, id=",
        kind="names",
        group="data",
        metavar="ROLE=COLUMN",
        default=(),
        check=checks.columns,
    )
    type_from = Option[str | None](
        help="where data types come from: folder, column:NAME, or none (default: what the format means)",
        group="data",
        metavar="WHERE",
        check=checks.type_source,
    )
    image_root = Option[Path | None](
        help="a further folder in which the images that the data name are looked for",
        kind="path",
        group="data",
        metavar="DIR",
    )
    follow_links = Option[bool](
        help="whether links may lead out of the images' folders, as the Hub's cache needs it",
        kind="switch",
        group="data",
        default=False,
    )
    data_root = Option[Path | None](
        help="the root of your images and texts (or VLM_DATA_ROOT)", kind="path", group="data", metavar="DIR"
    )
    dataset = Option[str | None](
        help="a registered dataset: sample_data, synthetic, or your own", group="data", metavar="NAME"
    )
    labels = Option[Path | None](
        help="data types of the rows, one per line or .npy, if all models are npy: and no data is named",
        kind="path",
        group="data",
        metavar="FILE",
    )
    groups = Option[Path | Literal["rows"] | None](
        help="likewise the rows' groups; or `rows`: equal rows are one group (default: one group per row)",
        group="data",
        metavar="FILE",
        check=checks.groups_file,
    )
    text_field = Option[Literal["answer", "question", "both"]](
        help="the text that an image is paired with: answer, question or both",
        group="data",
        metavar="FIELD",
        default="answer",
        choices=("answer", "question", "both"),
    )
