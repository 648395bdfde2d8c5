"""How figures look and are written: by family, not by colour alone, the same bytes each time."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.plots import FIGURES, Artifacts, FigureInputs, read_artifacts, save
from alignbench.plots.style import COLOURS, CONTROL, looks
from alignbench.tests.report_fakes import HOSTILE, make_arrays, make_inputs, make_model, write_arrays

if TYPE_CHECKING:
    from pathlib import Path


def test_minis_take_their_family_colour() -> None:
    found = looks(
        [make_model(name) for name in ("mini-clip", "siglip", "mini-dinov2", "internvit", "random-vit")]
    )
    assert [look.colour for look in found.values()] == [
        COLOURS["clip"],
        COLOURS["siglip"],
        COLOURS["dinov2"],
        COLOURS["internvit"],
        CONTROL,
    ]


def test_models_that_only_scores_know_are_coloured_by_name() -> None:
    assert looks([], ["mini-clip"])["mini-clip"].colour == COLOURS["clip"]
    assert looks([], ["mine"])["mine"].colour not in COLOURS.values()


def test_every_model_has_its_own_look() -> None:
    names = [f"model-{i}" for i in range(12)]
    found = looks([], names)
    assert len({(look.colour, look.marker) for look in found.values()}) == 12


def test_a_stand_in_looks_the_same_by_name_and_by_label() -> None:
    found = looks([make_model("mini-clip", stand_in_for="clip")])
    assert found["mini-clip"] == found["mini-clip (stand-in for clip)"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["eas_dashboard", "covariance_heatmaps"])
def test_the_same_scores_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    inputs = make_inputs(("mini-clip",), ("mini-llama",))
    contents = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        figure = FIGURES.get(name)(inputs)
        assert figure is not None
        contents.append([path.read_bytes() for path in save(figure, tmp_path / folder / name)])
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_files_are_png_and_svg_and_nothing_else_is_left(tmp_path: Path) -> None:
    figure = FIGURES.get("eas_dashboard")(make_inputs(("mini-clip",), ("mini-llama",)))
    assert figure is not None
    png, svg = save(figure, tmp_path / "eas_dashboard")
    assert sorted(tmp_path.iterdir()) == [png, svg]
    assert png.read_bytes().startswith(b"\x89PNG")
    assert ET.parse(svg).getroot().tag.endswith("svg")


@pytest.mark.slow
def test_svg_keeps_names_as_text(tmp_path: Path) -> None:
    figure = FIGURES.get("eas_dashboard")(make_inputs(HOSTILE[:1] + HOSTILE[3:4], ("l",)))
    assert figure is not None
    _, svg = save(figure, tmp_path / "eas")
    text = "".join(ET.parse(svg).getroot().itertext())
    assert "<script>alert(1)</script>" in text
    assert "비전" in text
    assert "<script>" not in svg.read_text(encoding="utf-8")


@pytest.mark.slow
def test_all_figures_of_large_arrays_stay_small(tmp_path: Path) -> None:
    coral, similarity = make_arrays(("mini-clip",), ("mini-llama",), n=900, k=300)
    inputs = FigureInputs(coral=coral, similarity=similarity)
    for name in ("covariance_heatmaps", "sample_similarity"):
        figure = FIGURES.get(name)(inputs)
        assert figure is not None
        assert all(path.stat().st_size < 900_000 for path in save(figure, tmp_path / name))


@pytest.mark.slow
def test_the_process_settings_of_matplotlib_are_left_alone(tmp_path: Path) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figure = FIGURES.get("eas_dashboard")(make_inputs(("mini-clip",), ("mini-llama",)))
    assert figure is not None
    save(figure, tmp_path / "x")
    assert dict(mpl.rcParams) == before


@pytest.mark.slow
def test_the_process_settings_do_not_reach_our_figures(tmp_path: Path) -> None:
    import matplotlib as mpl

    contents = []
    for colour in ("white", "red"):
        with mpl.rc_context({"axes.facecolor": colour, "font.size": 8 + len(colour)}):
            figure = FIGURES.get("eas_dashboard")(make_inputs(("mini-clip",), ("mini-llama",)))
            assert figure is not None
            contents.append(save(figure, tmp_path / colour)[0].read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_drawing_needs_no_pyplot_and_no_display(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from alignbench.plots import FIGURES, save;"
        "from alignbench.tests.report_fakes import make_inputs;"
        "save(FIGURES.get('cka_vs_coral')(make_inputs()), Path(sys.argv[1]) / 'x');"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_artifacts_come_back_as_they_were_written(tmp_path: Path) -> None:
    coral, similarity = make_arrays(("a",), ("l",))
    write_arrays(tmp_path, coral, similarity)
    complaints: list[str] = []
    found = read_artifacts(tmp_path, complaints.append)
    read_coral, read_similarity = found.coral, found.similarity
    assert complaints == []
    assert (read_coral[0].name_x, read_coral[0].name_y, read_coral[0].mode) == ("a", "l", "cross-modal")
    assert read_coral[0].cov_x == pytest.approx(coral[0].cov_x)
    assert read_coral[0].eig_y == pytest.approx(coral[0].eig_y)
    assert [s.name for s in read_similarity] == ["a", "l"]
    assert read_similarity[0].labels == similarity[0].labels


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        (
            {"eig_x": np.array([np.nan]), "eig_y": np.ones(1), "name_x": "a", "name_y": "b", "mode": "m"},
            "not finite",
        ),
        ({"eig_x": np.ones(1)}, "name_x"),
        ({"cosine": np.ones((3, 3)), "labels": np.array(["a"]), "name": "m"}, "for 1 labels"),
        ({"cosine": np.array([{}], dtype=object), "labels": np.array(["a"]), "name": "m"}, "allow_pickle"),
    ],
)
def test_unfit_artifacts_are_complained_about_and_left_out(
    tmp_path: Path, arrays: dict[str, Any], why: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    complaints: list[str] = []
    assert read_artifacts(tmp_path, complaints.append) == Artifacts()
    assert len(complaints) == 1
    assert complaints[0].startswith("x.npz: expected plot inputs")
    assert why in complaints[0]


def test_a_missing_folder_has_no_artifacts(tmp_path: Path) -> None:
    assert read_artifacts(tmp_path / "none", pytest.fail) == Artifacts()
