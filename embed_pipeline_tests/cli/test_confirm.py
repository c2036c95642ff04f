"""``confirm`` and what ``status`` says of a corpus that waits for it."""

import json
import subprocess
import sys

import pytest

from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.automation.build import pretend_run


@pytest.fixture
def cli(tmp_path):
    """Somebody whose corpus lost half of its documents since the model was trained."""
    corpus, home = tmp_path / "corpus", tmp_path / "home"
    corpus.mkdir()
    for name in "abcd":
        (corpus / f"{name}.md").write_text(f"# {name}")
    settings = load_settings(None, None, [f"corpus.path={corpus}"], {})
    pretend_run(Store(home), stages(settings), settings)
    for name in "ab":
        (corpus / f"{name}.md").unlink()

    def call(verb, *more):
        command = [
            sys.executable,
            "-m",
            "embed_pipeline.cli",
            verb,
            "--corpus",
            str(corpus),
            "--home",
            str(home),
            *more,
        ]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)

    return call


def test_status_says_what_waits_and_confirm_lets_it_go(cli):
    waiting = json.loads(cli("status", "--json").stdout)["to_confirm"]
    assert waiting.startswith("the corpus lost 50.0% (4 -> 2 documents")
    assert f"waiting for embed-pipeline confirm: {waiting}" in cli("status").stdout
    done = cli("confirm")
    assert (done.returncode, done.stdout) == (0, f"confirmed: {waiting}\n")
    assert json.loads(cli("status", "--json").stdout)["to_confirm"] is None
    assert json.loads(cli("confirm", "--json").stdout) == {"confirmed": None}


def test_a_corpus_that_is_gone_cannot_be_confirmed(cli, tmp_path):
    (tmp_path / "corpus").rename(tmp_path / "away")
    done = cli("confirm")
    assert done.returncode == 2
    assert "there is no such corpus folder" in done.stderr
    assert "Traceback" not in done.stderr
