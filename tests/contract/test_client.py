"""The AsyncAPI document in the hands of its tools: valid, and good for a client in another language."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from bridge.contract import asyncapi, forms
from tests.brokers.servers import missing

CLIENT = Path(__file__).parent / "client"
LONGEST_S = 120


@pytest.fixture(scope="module")
def node() -> str:
    """Where Node.js is; its packages are installed beside the scripts."""
    path = shutil.which("node")
    if path is None or not (CLIENT / "node_modules/@asyncapi/modelina").is_dir():
        missing("no AsyncAPI tools (apt install nodejs npm; npm ci --prefix tests/contract/client)")
    return str(path)


def run(*command: str, text: str = "", folder: Path = CLIENT) -> subprocess.CompletedProcess[str]:
    """Run one of the tools."""
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=LONGEST_S, check=False, cwd=folder
    )


def test_the_document_is_valid(node: str) -> None:
    """Without an error or a warning of the AsyncAPI parser."""
    done = run(node, "validate.mjs", text=forms.text("asyncapi"))

    assert [line for line in done.stdout.splitlines() if not line.startswith("2 ")] == []
    assert (done.returncode, done.stderr) == (0, "")


def test_the_validator_sees_what_is_wrong(node: str) -> None:
    """Else the test above would hold for anything."""
    document = asyncapi.document()
    document["operations"]["sendState"]["action"] = "shout"
    done = run(node, "validate.mjs", text=json.dumps(document))

    assert done.returncode == 1
    assert "action" in done.stdout


def test_a_client_in_typescript_compiles(node: str, tmp_path: Path) -> None:
    """Types made by Modelina from the document, and a program that relies on each of their words."""
    made = run(node, "generate.mjs", str(tmp_path / "models.ts"), text=forms.text("asyncapi"))
    assert (made.returncode, made.stderr) == (0, "")
    shutil.copy(CLIENT / "consumer.ts", tmp_path)
    compiler = str(CLIENT / "node_modules/typescript/bin/tsc")
    strict = (
        "--strict",
        "--noEmit",
        "--target",
        "es2022",
        "--module",
        "es2022",
        "--moduleResolution",
        "bundler",
    )
    done = run(node, compiler, *strict, "consumer.ts", folder=tmp_path)

    assert (done.stdout, done.returncode) == ("", 0)
