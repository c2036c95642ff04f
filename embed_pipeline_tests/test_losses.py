"""The check of losses finds what is lost without a word, and nothing else."""

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import docx
import pytest

from embed_pipeline_tests.corpus.parsers.pdf_files import column, make_pdf

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "losses.py"
SENTENCE = "The loft warden checks the skein before every lofting and writes it into the gust ledger."

LOSING = """
import runpy, sys
from embed_pipeline.corpus.parsers import registry
from embed_pipeline.corpus.parsers.blocks import Block, Extracted
from embed_pipeline.corpus.parsers.losses import Losses

def parse(data):
    kept, lost = data.decode().split("\\n\\n")
    losses = Losses()
    if {way!r} == "told":
        losses.add("furniture", lost)
    return Extracted([Block(kept)], losses=losses.told())

registry.BY_SUFFIX[".txt"] = registry.Format("text", (".txt",), parse, is_text=True)
sys.path.insert(0, {script!r}.rpartition("/")[0])
sys.argv = [{script!r}, {folder!r}]
runpy.run_path({script!r}, run_name="__main__")
"""
"""The check with a parser that keeps the first paragraph alone."""


def check(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT)


def documents(folder: Path) -> Path:
    """Of every format that needs no other program."""
    (folder / "a.txt").write_text(f"Notes\n\n{SENTENCE}")
    (folder / "b.md").write_text(f"---\ntitle: Head\n---\n# Head\n\n{SENTENCE} See [there](https://example.com/x).\n")
    (folder / "c.rst").write_text(
        f"Head\n====\n\n{SENTENCE}\n\n.. note::\n   Take care of `it <https://a.example>`_.\n"
    )
    (folder / "d.html").write_text(f"<title>Page</title><script>let hidden = 1</script><p>{SENTENCE}<sup>2</sup></p>")
    document = docx.Document()
    document.add_paragraph(SENTENCE)
    document.save(str(folder / "e.docx"))
    return folder


def test_what_is_read_whole_passes(tmp_path):
    done = check("--each", "0.02", documents(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert [row[1] for row in rows] == ["docx", "html", "markdown", "rst", "text"]
    assert {row[7] for row in rows} == {"0.00%"}
    assert all(int(row[4]) > 60 for row in rows)  # characters


def test_a_row_of_a_beir_folder_is_compared(tmp_path):
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "a", "title": "T", "text": SENTENCE}))
    assert "| beir | 1 |" in check(tmp_path).stdout


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="no pdftotext on this machine (poppler-utils)")
def test_a_pdf_is_compared(tmp_path):
    (tmp_path / "a.pdf").write_bytes(make_pdf([column([SENTENCE[:45], SENTENCE[46:]])]))
    done = check("--each", "0.02", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "| pdf | 1 |" in done.stdout


def losing(folder: Path, way: str) -> subprocess.CompletedProcess[str]:
    """What it says of a document whose second paragraph is lost."""
    kept = " ".join(f"kept{number} {SENTENCE}" for number in range(9))
    (folder / "a.txt").write_text(f"{kept}\n\nwhat nobody ever hears of again")
    code = LOSING.format(way=way, script=str(SCRIPT), folder=str(folder))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)


def test_a_paragraph_that_is_lost_without_a_word_fails_and_one_that_is_told_passes(tmp_path):
    done = losing(tmp_path, "silently")
    assert done.returncode == 1
    assert "text: 3." in done.stderr
    assert "% of the characters are unexplained" in done.stderr
    told = losing(tmp_path, "told")
    assert told.returncode == 0, told.stderr


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("losses")


@pytest.mark.parametrize(
    ("given", "made", "missing"),
    [
        ("a cost-\neffective way", "a costeffective way", 0),
        ("danger.Max load 40 t", "danger. Max load 40 t", 0),
        ("平台由缆绳\n系住", "平台由缆绳系住", 0),
        ("10⁶ ofﬁce Ｈ", "10^6 office H", 0),
        ("founded in 1987 and 1988", "founded in 1988", 7),
        ("twice twice", "twice", 5),
        ("Grüße", "GrĂĽĂźe", 6),
        ("lost entirely", "another text of the same letters: sol lent iyret", 12),
    ],
)
def test_words_that_were_joined_or_parted_are_not_missing(measure, given, made, missing):
    found = measure.compare("a.txt", "text", given, made, 0)
    assert (found.missing, found.unexplained) == (missing, missing)
    assert measure.compare("a.txt", "text", given, made, 3).unexplained == max(0, missing - 3)


def test_totals_of_a_run_are_printed(tmp_path):
    done = check("--told", documents(tmp_path))
    assert done.returncode == 0, done.stderr
    assert f"- {tmp_path.name}: 5 documents, " in done.stdout
