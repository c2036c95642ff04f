"""``embed-pipeline preview`` as somebody types it: before any run, without a home."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from embed_pipeline.cli.app import app
from embed_pipeline.cli.output import printable
from embed_pipeline.errors import UserError

SENTENCE = "The loft warden checks the skein before every lofting and writes it into the gust ledger. "
CHINESE = "平台由缆绳系住。风驱动两个转子发电。操作员每天检查缆绳。"
HOSTILE = (
    "# Bold \u202e\x1b[31m <b>title</b>\n\n<script>alert(1)</script> [red]The river[/] \x1b]0;owned\x07 "
    + SENTENCE * 12
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("typed")
    corpus = folder / "corpus"
    corpus.mkdir()
    (corpus / "hostile.md").write_text(HOSTILE + SENTENCE * 12)
    (corpus / "line.txt").write_text(f"{'y' * 200_000} and {'word ' * 2_000}")
    (corpus / "odd \x1b[31m\u202e\nname.txt").write_text(SENTENCE * 2)
    (corpus / "chinese.txt").write_text(CHINESE * 9)
    (corpus / "binary.txt").write_bytes(b"\0\1" * 99)
    return folder


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "embed_pipeline.cli", "preview", *words]
    environment = {**os.environ, "COLUMNS": "100"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, env=environment)


def test_a_look_to_read_that_leaves_nothing_behind(folder):
    done = typed(folder, "--corpus", "corpus", "--set", "encoder.max_passage_length=64", "--passages", "2")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in folder.iterdir()] == ["corpus"]  # no home
    lines = done.stdout.splitlines()
    assert "4 of 4 documents" in lines[0]
    assert max(map(cell_len, lines[1:])) <= 100
    for said in (
        "hostile.md",
        "[red]The river[/]",
        "(encoder.max_passage_length is 64)",
        "--passages 0 prints all",
        "binary.txt  binary content in a text file",
    ):
        assert said in done.stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)


def test_as_json_with_every_passage(folder):
    found = json.loads(typed(folder, "--corpus", "corpus", "hostile.md", "--json").stdout)
    (document,) = found["documents"]
    assert document["title"].startswith("Bold")
    assert "".join(one["between"] + one["text"] for one in document["passages"])
    assert found["settings"] == ["corpus.passage_tokens=200", "encoder.max_passage_length=256"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "corpus.path is not set"),
        (["--corpus", "elsewhere"], "there is no such corpus folder"),
        (["--corpus", "elsewhere", "--page"], "there is no such corpus folder"),
        (["--corpus", "corpus", "nope.md"], "is called 'nope.md'"),
        (["--page"], "corpus.path is not set"),
    ],
)
def test_what_cannot_be_shown_is_said(folder, monkeypatch, words, said):
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, ["preview", *words])
    assert isinstance(result.exception, UserError)
    assert said in str(result.exception)
    assert result.stdout == ""


def test_printable_text_is_one_line_without_commands():
    assert printable("a\tb\r\nc\u2028d \x1b[2J\u202e\x00e\u200f\x9b") == "a b c d [2Je"
    assert printable("می\u200cخواهم नमस्ते") == "می\u200cخواهم नमस्ते"  # a joiner is a part of words
