"""How figures look: colours by family, sizes and patterns; and how they are saved, byte for byte the same."""

from __future__ import annotations

import functools
import textwrap
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from alignbench.files import replacing
from alignbench.plots.fonts import FAMILIES, any_weight, fallback_fonts, set_fallback_fonts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

    from alignbench.types import ModelInfo

P = ParamSpec("P")
T = TypeVar("T")

COLOURS = {
    "clip": "#4C8BF5",
    "siglip": "#F5A623",
    "dinov2": "#0ABAB5",
    "internvit": "#E94B3C",
    "paligemma": "#6C5CE7",
}
CONTROL = "#8C8C8C"
OTHERS = ("#B5468E", "#5A8F29", "#8C5A2B", "#1F4E79", "#C4A000", "#D4739D", "#3D8B73", "#A0522D")
TEXT_SIDE = ("#222222", "#7A4B9A", "#3B7A57", "#A8612A", "#356E9C", "#8A8A2B")
# Okabe and Ito's palette, which colour-blind readers can tell apart; data types also differ by marker.
DATA_TYPES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
INK = "#222222"
MUTED = "#666666"
NULL = "#9A9A9A"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h", "p", "*")
DASHES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (8, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
)
SATURATED_HATCH = "////"
SEQUENTIAL = "cividis"
DIVERGING = "RdBu_r"
DPI = 150
NOTE_LETTERS_PER_INCH = 16

_SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": list(FAMILIES),
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": "#BBBBBB",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "hatch.linewidth": 0.7,
    "text.parse_math": False,  # a name with two dollar signs must not become a formula
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType, which editors and journals can read
    "svg.hashsalt": "alignbench",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How one model is drawn in every figure: with a marker and dashes besides its colour."""

    colour: str
    marker: str
    dash: Any


def looks(models: Iterable[ModelInfo], names: Iterable[str] = ()) -> dict[str, Look]:
    """Return name -> look: encoders have their family's colour and differ in it by markers and dashes."""
    by_name: dict[str, Look] = {}
    models = list(models)
    known = {model.name: model for model in models} | {model.label: model for model in models}
    others = {"vision": 0, "text": 0}
    for i, name in enumerate(dict.fromkeys((*(model.label for model in models), *known, *names))):
        model = known.get(name)
        if model is not None and model.label in by_name:
            by_name[name] = by_name[model.label]
            continue
        side = "text" if model is not None and model.side == "text" else "vision"
        if side == "vision" and model is not None and model.weights == "random":
            colour = CONTROL
        elif side == "vision" and family_of(name, model) in COLOURS:
            colour = COLOURS[family_of(name, model)]
        else:
            palette = OTHERS if side == "vision" else TEXT_SIDE
            colour = palette[others[side] % len(palette)]
            others[side] += 1
        by_name[name] = Look(colour, MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)])
    return by_name


def type_looks(labels: Iterable[str]) -> dict[str, Look]:
    """Return data type -> look, sorted by name, so that a type looks the same in every figure of a run."""
    return {
        label: Look(DATA_TYPES[i % len(DATA_TYPES)], MARKERS[i % len(MARKERS)], DASHES[i % len(DASHES)])
        for i, label in enumerate(sorted(set(labels)))
    }


def family_of(name: str, model: ModelInfo | None) -> str:
    """Return the model's family; for a name without a model, the family that the name tells."""
    if model is not None:
        return model.family
    return name.removeprefix("mini-") if name.removeprefix("mini-") in COLOURS else "other"


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Let a function draw in our style, whatever the process's settings are, and leave those unchanged.

    A figure with letters that the first font lacks is drawn again with fallback fonts, since where names have
    room depends on the fonts.
    """

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        import matplotlib as mpl
        import matplotlib.figure

        with mpl.rc_context(), warnings.catch_warnings(), any_weight():
            # whoever saves the figure reports once which letters no installed font has
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
            mpl.rcdefaults()
            with mpl.rc_context(_SETTINGS):
                drawn = draw(*args, **kwargs)
                if isinstance(drawn, mpl.figure.Figure) and (families := fallback_fonts(drawn).families):
                    mpl.rcParams["font.family"] = ["sans-serif", *families]
                    drawn = draw(*args, **kwargs)
                return drawn

    return wrapper


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, which pyplot does not know."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def lay_out(figure: Figure) -> None:
    """Lay out the figure without drawing it, so that further texts can be put where there is room."""
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.execute(figure)


def entitle(figure: Figure, title: str, *notes: str, legend: Sequence[Artist] = ()) -> None:
    """Write a title and a one-line legend above the figure, and notes on how to read it below.

    Notes that are wider than the figure are wrapped.
    """
    from matplotlib.transforms import ScaledTranslation

    if legend:
        title += "\n"  # this blank line keeps room for the legend: the layout ignores figure legends
    figure.suptitle(title, x=0.01, ha="left", color=INK)
    if legend:
        below_title = figure.transFigure + ScaledTranslation(0.1, -0.28, figure.dpi_scale_trans)
        box = figure.legend(
            handles=list(legend),
            loc="upper left",
            bbox_to_anchor=(0, 1),
            bbox_transform=below_title,
            ncols=len(legend),
            borderaxespad=0,
            columnspacing=1.2,
            handletextpad=0.5,
        )
        box.set_in_layout(False)
    if notes:
        columns = int(figure.get_figwidth() * NOTE_LETTERS_PER_INCH)
        lines = [line for note in notes for line in textwrap.wrap(note, columns) or [""]]
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=MUTED)


@styled
def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg, each in one step; the same figure gives the same bytes.

    Returns:
        The paths of the files.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    set_fallback_fonts(figure)
    png, svg = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg"))
    # the canvases' own methods, since savefig draws everything twice
    with replacing(png, sync=False) as temporary:
        quick = {"compress_level": 3}  # takes a third less time, for files that are larger by a fifteenth
        FigureCanvasAgg(figure).print_png(temporary, metadata={"Software": None}, pil_kwargs=quick)
    figure.set_layout_engine("none")  # the layout of the PNG stays, so that the two files agree
    with replacing(svg, sync=False) as temporary:
        metadata = {"Date": None, "Creator": None}
        FigureCanvasSVG(figure).print_svg(temporary, metadata=metadata)
    return [png, svg]


@styled
def save_for_paper(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.pdf with vector lines and embedded fonts; the same figure gives the same bytes."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    set_fallback_fonts(figure)
    path = stem.with_name(f"{stem.name}.pdf")
    with replacing(path, sync=False) as temporary:
        FigureCanvasPdf(figure).print_pdf(temporary, metadata={"CreationDate": None, "Creator": None})
    return [path]
