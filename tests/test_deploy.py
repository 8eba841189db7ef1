"""What can be checked of the deployment files without Docker and without a cloud."""

import json
import re
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from gptcore.runs import limits

ROOT = Path(__file__).parent.parent
DOCKERFILE = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sent():
    """The tracked files that `docker build` sends: those that .dockerignore leaves."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    ignored = [line for line in lines if line and not line.startswith("#")]
    return {name for name in tracked if not any(fnmatch(name.split("/")[0], line) for line in ignored)}


def test_the_image_gets_the_app_its_settings_and_what_its_installation_reads(sent):
    before, _, install = DOCKERFILE.partition("RUN uv pip install")
    copied = {word for line in re.findall(r"^COPY (.*) \S+$", before, re.MULTILINE) for word in line.split()}
    assert re.search(r"-r (\S+)", install)[1] in copied and copied <= {name.split("/")[0] for name in sent}
    # What `-e .` reads: the metadata, the files that it names, and the packages.
    assert {"pyproject.toml", "README.md", "LICENSE", "gptcore"} <= copied
    assert {"app.py", ".streamlit/config.toml", "pages/00_overview.py", "gptcore/data/claims.jsonl"} <= sent
    assert not any(name.startswith(("tests/", ".ci/")) for name in sent)


def test_the_image_starts_the_app_as_a_user_without_rights_and_asks_for_its_health_where_it_listens():
    command = json.loads(re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE)[-1])
    (port,) = [word.partition("=")[2] for word in command if word.startswith("--server.port=")]
    assert command[:3] == ["streamlit", "run", "app.py"] and "--server.address=0.0.0.0" in command
    assert re.findall(r"^(?:USER|EXPOSE) (\d+)$", DOCKERFILE, re.MULTILINE) == ["1000", port]
    assert f"http://localhost:{port}/_stcore/health" in DOCKERFILE
    assert f'"{port}:{port}"' in (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert f"app_port: {port}\n" in (ROOT / "deploy" / "space.md").read_text(encoding="utf-8")


def test_the_table_of_variables_names_all_that_are_read_and_no_other():
    table = re.findall(
        r"^\| `(GLASSBOX_\w+)`", (ROOT / "deploy" / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    files = [path for folder in ("gptcore", "pages") for path in (ROOT / folder).rglob("*.py")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    read = set(re.findall(r"[\"'](GLASSBOX_[A-Z_]*[A-Z])[\"']", code)) | set(limits.names())
    assert sorted(table) == sorted(read)
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"GLASSBOX_[A-Z_]+", DOCKERFILE + compose)) <= read
