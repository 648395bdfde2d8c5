"""The page as a program sees it: its endpoints, what it refuses, what it goes on doing afterwards."""

from __future__ import annotations

import csv
import gc
import json
import os
import shlex
import subprocess
import sys
import weakref
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alignbench import paths
from alignbench.plots.declared import figures_of
from alignbench.ui.uploads import MAX_FILE
from alignbench.workshop.measure._served import served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("gradio", reason="the extra `ui` is not installed: pip install 'alignbench[ui]'")
httpx = pytest.importorskip("httpx", reason="it comes with gradio")
gradio_client = pytest.importorskip("gradio_client", reason="gradio's client is not installed")
# Gradio's client leaves sockets and event loops to the garbage collector.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

DATA = (["chart", "table"], 10, 42)
ENDPOINTS = {"speed", "attention", "compare", "embedding", "coral", "e2e"}
CORAL = (["mini-clip"], ["mini-llama"], *DATA, 99)
STATUS, ANSWER, FIGURES, TABLE, CSV, JSON, ZIP = range(7)  # what an endpoint gives a program


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ui")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with served(folder) as page:
        yield page.url


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[Any]:
    client = gradio_client.Client(
        url, verbose=False, download_files=str(tmp_path), httpx_kwargs={"timeout": 120}
    )
    yield weakref.proxy(client)  # pytest keeps what it is given until the test's teardown is over
    del client
    gc.collect()  # what it left open is told of here, and in no test that comes later


def of(result: Any, which: int) -> Any:
    """Return the path of a download, which comes as an update of its button."""
    return Path(result[which]["value"])


@pytest.mark.long
def test_a_tab_gives_the_scores_of_its_command(client: Any, tmp_path: Path) -> None:
    result = client.predict(*CORAL, api_name="/coral")
    assert "Done." in result[STATUS]
    # One encoder and one LLM have nothing of their own side to be compared with.
    assert result[FIGURES].count("<figure") == len(figures_of("coral")) - 1
    assert "intra_modal_similarity (takes two encoders or two LLMs)" in result[ANSWER]
    assert '<p class="ab-headline">' in result[ANSWER]
    shown = json.loads(of(result, JSON).read_text(encoding="utf-8"))
    with of(result, CSV).open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(shown["scores"]) == len(result[TABLE]["data"])
    with zipfile.ZipFile(of(result, ZIP)) as archive:
        assert "coral_dashboard.png" in archive.namelist()
    expected = _command(shown["run"]["command"], tmp_path)
    own = {(s["metric"], s["encoder"], s["llm"]): s for s in shown["scores"]}
    assert own.keys() == expected.keys()
    for key, score in own.items():
        assert score["value"] == pytest.approx(expected[key]["value"], abs=1e-12), key
        assert score["null"] == expected[key]["null"], key
        assert score["interval"] == expected[key]["interval"], key


def _command(command: str, folder: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """Make the run that the page names, and return its scores."""
    words = [sys.executable, "-m", *shlex.split(command), "--output-dir", str(folder), "--no-figures"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(words, cwd=paths.benchmarks().parent, env=environment, check=True, capture_output=True)
    (file,) = folder.glob("*-coral/scores.json")
    scores = json.loads(file.read_text(encoding="utf-8"))["scores"]
    return {(s["metric"], s["encoder"], s["llm"]): s for s in scores}


@pytest.mark.long
def test_two_clicks_at_once_both_get_their_results(client: Any, url: str) -> None:
    other = gradio_client.Client(url, verbose=False, httpx_kwargs={"timeout": 120})
    jobs = [one.submit(*CORAL, api_name="/coral") for one in (client, other)]
    assert all("Done." in job.result(timeout=300)[STATUS] for job in jobs)


@pytest.mark.long
def test_a_client_that_leaves_does_not_keep_the_device(client: Any, url: str) -> None:
    gone = gradio_client.Client(url, verbose=False, httpx_kwargs={"timeout": 120})
    left = gone.submit(["mini-clip"], ["mini-llama"], *DATA, ["contrastive"], 1000, 10, 10, api_name="/e2e")
    left.cancel()
    assert "Done." in client.predict(*CORAL, api_name="/coral")[STATUS]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((["mini-clip"], [], *DATA, 99), "choose at least one LLM"),
        ((["mini-clip"], ["mini-llama"], [], 10, 42, 99), "Data types: choose at least one"),
        ((["mini-clip"], ["mini-llama"], ["chart"], 10, 42, 10**9), "Shuffled pairings"),
        ((["/etc"], ["mini-llama"], *DATA, 99), "not on the list|not in the list of choices"),
    ],
)
def test_a_wrong_choice_is_one_clear_line(client: Any, values: tuple[Any, ...], said: str) -> None:
    with pytest.raises(gradio_client.exceptions.AppError, match=said) as caught:
        client.predict(*values, api_name="/coral")
    assert "Traceback" not in str(caught.value)


def test_text_named_png_is_refused_and_the_page_goes_on(client: Any, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image", encoding="utf-8")
    sent = gradio_client.handle_file(str(tmp_path / "text.png"))
    for _ in range(2):
        with pytest.raises(gradio_client.exceptions.AppError, match="not one of PNG"):
            client.predict(["mini-clip"], sent, "", api_name="/attention")


def test_a_path_that_was_not_uploaded_is_not_opened(client: Any, url: str, tmp_path: Path) -> None:
    (tmp_path / "private.png").write_bytes(b"private")
    sent = {"path": str(tmp_path / "private.png"), "meta": {"_type": "gradio.FileData"}}
    answer = httpx.post(f"{url}gradio_api/call/attention", json={"data": [["mini-clip"], sent, ""]})
    event = answer.json()["event_id"]
    said = httpx.get(f"{url}gradio_api/call/attention/{event}", timeout=60).text
    assert "event: error" in said
    assert "not uploaded" in said


def test_a_huge_upload_is_refused_and_the_page_goes_on(url: str) -> None:
    huge = {"files": ("huge.png", b"0" * (MAX_FILE + 2**20), "image/png")}
    assert httpx.post(f"{url}gradio_api/upload", files=huge, timeout=60).status_code == 413
    assert httpx.get(url, timeout=60).status_code == 200


def test_no_file_of_this_machine_is_served(url: str, folder: Path) -> None:
    (folder / "private.txt").write_text("private", encoding="utf-8")
    for path in (folder / "private.txt", Path(__file__), "/etc/passwd"):
        answer = httpx.get(f"{url}gradio_api/file={path}", timeout=60)
        assert answer.status_code in {403, 404}, path


def test_a_page_elsewhere_gets_no_answer(url: str) -> None:
    assert httpx.get(url, headers={"Host": "elsewhere.example"}, timeout=60).status_code == 421


def test_a_page_of_another_origin_can_not_upload_or_run_anything(url: str, folder: Path) -> None:
    elsewhere = {"Origin": "http://elsewhere.example"}
    before = set(folder.rglob("*.png"))
    image = {"files": ("evil.png", b"from elsewhere", "image/png")}
    assert (
        httpx.post(f"{url}gradio_api/upload", files=image, headers=elsewhere, timeout=60).status_code == 403
    )
    assert set(folder.rglob("*.png")) == before
    for path in ("call/coral", "queue/join", "run/predict", "component_server"):
        answer = httpx.post(
            f"{url}gradio_api/{path}", json={"data": list(CORAL)}, headers=elsewhere, timeout=60
        )
        assert answer.status_code == 403, path
    ours = {"Origin": url.rstrip("/"), "Sec-Fetch-Site": "same-origin"}
    assert httpx.post(f"{url}gradio_api/upload", files=image, headers=ours, timeout=60).status_code == 200


def test_half_a_character_is_one_clear_line_everywhere(url: str, folder: Path) -> None:
    kind = {"Content-Type": "application/json"}
    before = len((folder / "log").read_text(encoding="utf-8"))
    for data in (
        rb'[["mini-clip"], null, "a \ud800 dog"]',
        rb'[["\ud800"], null, ""]',
        rb'[["mini-clip"], {"path": "\ud800.png", "meta": {"_type": "gradio.FileData"}}, ""]',
    ):
        body = b'{"data": ' + data + b"}"
        answer = httpx.post(f"{url}gradio_api/call/attention", content=body, headers=kind, timeout=60)
        assert answer.status_code == 422, data
        assert "a lone surrogate" in answer.json()["detail"]
    assert "Traceback" not in (folder / "log").read_text(encoding="utf-8")[before:]


def test_every_answer_keeps_the_page_to_itself(url: str) -> None:
    policy = httpx.get(url, timeout=60).headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_the_page_is_set_up_to_stay_here(url: str) -> None:
    config = httpx.get(f"{url}config", timeout=60).json()
    assert config["analytics_enabled"] is False
    assert not config.get("is_colab")
    runs = [d for d in config["dependencies"] if d.get("api_name") in ENDPOINTS]
    assert {d["api_name"] for d in runs} == ENDPOINTS
    assert all(d["queue"] for d in runs)


def test_one_job_at_a_time_and_a_queue_that_ends() -> None:
    from alignbench.ui.app import App
    from alignbench.ui.menu import Menu
    from alignbench.ui.page import QUEUE, build_page

    page = build_page(App(Menu(), Path()))
    assert page._queue.max_size == QUEUE
    runs = [fn for fn in page.fns.values() if fn.api_name in ENDPOINTS]
    assert {(fn.concurrency_id, fn.concurrency_limit) for fn in runs} == {("device", 1)}
