"""The page: a tab of controls and results for each of several experiments, in gradio."""

from __future__ import annotations

import html
import logging
from collections.abc import Iterator  # noqa: TC003 (gradio looks at the annotations of handlers)
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from alignbench.errors import AlignbenchError
from alignbench.plots.style import type_looks
from alignbench.show.table import HEAD
from alignbench.text import clean
from alignbench.ui.before import READY, to_come, toy_notice
from alignbench.ui.fields import Field, build
from alignbench.ui.jobs import Cancellation, JobState
from alignbench.ui.results import View
from alignbench.ui.tabs import tabs
from alignbench.ui.uploads import open_upload, preview

if TYPE_CHECKING:
    from collections.abc import Callable

    from alignbench.ui.app import App
    from alignbench.ui.menu import Choices
    from alignbench.ui.tabs import Tab

_LOG = logging.getLogger(__name__)
QUEUE = 16  # the largest number of waiting clicks
ONE_AT_A_TIME = {"concurrency_limit": 1, "concurrency_id": "device"}
_SYSTEM = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO = ("ui-monospace", "Consolas", "Menlo", "monospace")


def theme() -> Any:
    """Return the theme, with the system's own fonts, so that nothing is fetched from elsewhere."""
    look = gr.themes.Default(primary_hue="blue", neutral_hue="slate", font=_SYSTEM, font_mono=_MONO)
    # The contrast of gradio's own blue with white is 3.7:1; that of these colours is at least 4.5:1.
    return look.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        color_accent="*primary_700",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
    )


def css() -> str:
    """Return the style sheet for the elements that are not gradio's."""
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8")


def build_page(app: App) -> gr.Blocks:
    """Return the page.

    Raises:
        AlignbenchError: there is no data.
    """
    choices = app.menu.choices()
    page = gr.Blocks(title="alignbench", analytics_enabled=False, delete_cache=(600, 7200))
    with page:
        gr.HTML(
            '<header class="ab-head"><h1>alignbench</h1>'
            "<p>Which vision encoder fits my LLM, and how sure can I be?</p></header>"
            + toy_notice(toys=choices.toys)
        )
        with gr.Tabs(overflow_behavior="wrap"):  # its menu would hide all but one on a phone
            for tab in tabs():
                with gr.Tab(tab.name, id=tab.experiment):
                    _tab(app, tab, choices)
    page.queue(max_size=QUEUE, default_concurrency_limit=1)
    return page


def _tab(app: App, tab: Tab, choices: Choices) -> None:
    to_choices = f'<a class="ab-jump" href="#choices-{tab.experiment}">What it runs with is below.</a>'
    gr.HTML(f'<p class="ab-about">{html.escape(tab.about)} {to_choices}</p>')
    with gr.Row(equal_height=True):
        with gr.Column(scale=1, min_width=280), gr.Row():
            run = gr.Button("Run", variant="primary", elem_id=f"run-{tab.experiment}", min_width=80)
            stop = gr.Button(
                "Stop", variant="stop", interactive=False, elem_id=f"stop-{tab.experiment}", min_width=80
            )
        with gr.Column(scale=3, min_width=300):
            status = gr.HTML(READY, elem_id=f"status-{tab.experiment}")
    with gr.Row(equal_height=False, elem_classes="ab-body"):
        with gr.Column(scale=1, min_width=280, elem_id=f"choices-{tab.experiment}"):
            fields = [field for control in tab.controls for field in build(control, choices)]
        with gr.Column(scale=3, min_width=300, elem_classes="ab-results"):
            with gr.Column(elem_id=f"before-{tab.experiment}") as before:
                gr.HTML(to_come(tab))
            if "image" in tab.controls:
                _previewed(app, next(field for field in fields if field.name == "upload"))
            results = gr.Column(visible=False)
            with results:
                answer = gr.HTML(elem_id=f"answer-{tab.experiment}")
                scatter = _scatter() if tab.experiment == "embedding" else []
                figures = gr.HTML(elem_id=f"figures-{tab.experiment}")
                table = gr.Dataframe(
                    headers=list(HEAD),
                    datatype="str",
                    interactive=False,
                    wrap=True,
                    label="All scores",
                    max_height=460,
                    elem_id=f"table-{tab.experiment}",
                    elem_classes="ab-table",
                )
                with gr.Row():
                    files = [
                        gr.DownloadButton(text, size="md", min_width=120)
                        for text in ("Scores (CSV)", "Scores (JSON)", "Figures (ZIP)")
                    ]
    outputs = [status, run, stop, before, results, answer, figures, table, *files, *scatter]
    clicked = run.click(
        _handler(app, tab, fields, len(outputs), bool(scatter)),
        inputs=[field.component for field in fields],
        outputs=outputs,
        api_name=tab.experiment,
        show_progress="hidden",
        **ONE_AT_A_TIME,
    )
    stop.click(
        _stopper(app, tab),
        inputs=None,
        outputs=[status, run, stop],
        cancels=[clicked],
        queue=False,
        show_progress="hidden",
        api_visibility="private",
    )


def _handler(
    app: App, tab: Tab, fields: list[Field], count: int, scattered: bool
) -> Callable[..., Iterator[list[Any]]]:
    """Return the handler of Run, which yields the values of all outputs with every step."""

    def handle(request: gr.Request, *values: Any) -> Iterator[list[Any]]:
        def update(status: str, running: bool, rest: list[Any] | None = None) -> list[Any]:
            buttons = [gr.Button(interactive=not running), gr.Button(interactive=running)]
            first = [status, *buttons]
            return [*first, *(rest or [gr.skip() for _ in range(count - len(first))])]

        try:
            yield update(_progress(JobState("waiting", 0.0)), True)
            chosen = {field.name: field.read(value) for field, value in zip(fields, values, strict=True)}
            last = None
            for item in app.run(tab, chosen, str(request.session_hash)):
                if isinstance(item, View):
                    yield update(_status("Done.", "status"), False, _results(item, scattered))
                elif item != last:
                    last = item
                    yield update(_progress(item), True)
        except Cancellation:
            yield update(_status("Stopped.", "status"), False)
        except AlignbenchError as error:
            yield update(_status(str(error), "alert"), False)
            raise _error(str(error)) from error
        except Exception as error:
            _LOG.exception("%s failed", tab.name)
            text = f"{type(error).__name__}: {error}; the log of alignbench ui says more"
            yield update(_status(text, "alert"), False)
            raise _error(text) from error

    return handle


def _results(view: View, scattered: bool) -> list[Any]:
    values: list[Any] = [
        gr.Column(visible=False),
        gr.Column(visible=True),
        view.answer,
        view.figures,
        {"headers": view.head, "data": view.rows},
        *(gr.DownloadButton(value=str(path)) for path in view.files),
    ]
    if scattered:
        names = list(view.points)
        first = names[0] if names else None
        values += [view.points, gr.Dropdown(choices=names, value=first), *_plot(view.points, first)]
    return values


def _stopper(app: App, tab: Tab) -> Callable[..., list[Any]]:
    def stop(request: gr.Request) -> list[Any]:
        app.stop(tab, str(request.session_hash))
        status = _status("Stopped. The run ends at its next step.", "status")
        return [status, gr.Button(interactive=True), gr.Button(interactive=False)]

    return stop


def _previewed(app: App, field: Field) -> None:
    """Show the uploaded image, or why it can't be used, before anything is run."""
    box = gr.HTML(elem_id="upload-seen")

    def look(path: str | None) -> str:
        try:
            image = open_upload(field.read(path), app.folder)
        except AlignbenchError as error:
            return _status(str(error), "alert")
        return "" if image is None else preview(*image)

    field.component.change(
        look, field.component, box, show_progress="hidden", api_visibility="private", **ONE_AT_A_TIME
    )


def _scatter() -> list[Any]:
    points = gr.State({})
    which = gr.Dropdown(choices=[], label="Interactive: model and method", elem_id="which-layout")
    plot = gr.ScatterPlot(
        x="x",
        y="y",
        color="type",
        tooltip=["sample", "type", "text"],
        colors_in_legend=[],  # the plot's own legend is cut off
        x_title=" ",
        y_title=" ",
        x_axis_labels_visible=False,
        height=440,
        label="Point at a sample to see what it is; drag to zoom in, double-click to zoom out",
        elem_id="scatter",
    )
    drawn = [plot, gr.HTML()]  # plot and legend
    which.input(_plot, [points, which], drawn, show_progress="hidden", queue=False, api_visibility="private")
    return [points, which, *drawn]


def _plot(points: dict[str, list[dict[str, Any]]], name: str | None) -> list[Any]:
    import pandas as pd

    samples = points.get(name or "", [])
    looks = type_looks(sample["type"] for sample in samples)
    colours = {label: look.colour for label, look in looks.items()}
    frame = pd.DataFrame(samples, columns=["x", "y", "type", "sample", "text"])
    items = "".join(
        f'<li><span style="background: {colour}" aria-hidden="true"></span>{html.escape(label)}</li>'
        for label, colour in colours.items()
    )
    return [gr.ScatterPlot(value=frame, color_map=colours), f'<ul class="ab-legend">{items}</ul>']


def _progress(state: JobState) -> str:
    percent = round(100 * state.fraction)
    return (
        f'<div class="ab-status"><progress max="100" value="{percent}" aria-label="progress"></progress>'
        f"<span>{percent}%: {html.escape(clean(state.what))}</span></div>"
    )


def _status(text: str, role: str) -> str:
    return f'<p class="ab-status ab-{role}" role="{role}">{html.escape(clean(text))}</p>'


def _error(text: str) -> gr.Error:
    """Return the error for programs; visitors read it in the status already."""
    return gr.Error(html.escape(clean(text)), visible=False, print_exception=False)
