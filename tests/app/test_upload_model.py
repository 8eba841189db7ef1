"""A visitor brings a model: it is checked, kept, and in use on every page."""

import io
import zipfile
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from gptcore import GPT, ModelConfig, save
from gptcore.formats.hf_folder import export_hf
from gptcore.runs.run import list_runs
from gptcore.tokenizer import story_tokenizer
from pages.kit.book import TABLE

ROOT = Path(__file__).resolve().parents[2]


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"folder/{path.name}")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def model():
    words = story_tokenizer()
    config = ModelConfig(
        vocab_size=words.vocab_size,
        context_length=96,
        d_model=32,
        n_layers=2,
        n_heads=2,
        n_kv_heads=1,
        bias="qkv",
    )
    return GPT(config, seed=4), words


@pytest.fixture
def app() -> AppTest:
    return (
        AppTest.from_file(str(ROOT / "app.py"), default_timeout=90).switch_page("pages/08_training.py").run()
    )


def press(app: AppTest) -> AppTest:
    return next(button for button in app.button if button.key == "bring_go").click().run()


def test_a_zip_of_a_hugging_face_folder_is_in_use_on_every_page(app, model, tmp_path):
    folder = export_hf(*model, tmp_path / "qwen")
    assert next(button for button in app.button if button.key == "bring_go").disabled
    app.sidebar.file_uploader[0].set_value(("qwen.zip", zipped(folder), "application/zip")).run()
    press(app)
    assert not app.exception and not app.error
    (run,) = list_runs()
    chosen = next(box for box in app.sidebar.selectbox if box.label == "Model in use")
    assert chosen.value == run.id
    assert "qwen" in str(chosen.options)
    assert app.sidebar.file_uploader[0].value in (None, [])  # it stands empty again
    for row in TABLE:
        page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=90)
        page.query_params["model"] = run.id
        page.switch_page(f"pages/{row.file}").run()
        assert not page.exception, row.file
        assert next(box for box in page.sidebar.selectbox if box.label == "Model in use").value == run.id


def test_three_files_do_as_well_and_what_is_wrong_is_said(app, model, tmp_path):
    folder = save(*model, tmp_path / "mine")
    files = [(path.name, path.read_bytes(), "application/octet-stream") for path in sorted(folder.iterdir())]
    app.sidebar.file_uploader[0].set_value([file for file in files if file[0] == "config.json"]).run()
    press(app)
    assert "model.safetensors" in " ".join(error.value for error in app.error)
    assert list_runs() == []
    app.sidebar.file_uploader[0].set_value(files).run()
    assert not app.error  # said once
    press(app)
    assert not app.error
    assert list_runs()[0].config()["model"]["bias"] == "qkv"


def test_a_path_on_the_server_is_asked_for_only_where_nobody_else_is_served(app):
    """AppTest's server is bound to no address of its own, like one that serves the world."""
    assert [box.label for box in app.sidebar.text_input if "folder" in box.label] == []


@pytest.mark.parametrize(("megabytes", "taken"), [("3", 3), ("0.4", 1)])
def test_every_control_for_a_file_takes_what_the_limits_allow(monkeypatch, megabytes, taken):
    monkeypatch.setenv("GLASSBOX_UPLOAD_MB", megabytes)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=90)
    app.query_params["c8_corpus"] = "upload"
    app.switch_page("pages/08_training.py").run()
    training = list(app.file_uploader)
    app.switch_page("pages/runs.py").run()
    widgets = {widget.key.split("_files")[0]: widget for widget in [*training, *app.file_uploader]}
    assert set(widgets) == {"bring", "c8_upload", "runs_bring"}
    assert {widget.proto.max_upload_size_mb for widget in widgets.values()} == {taken}
