"""What a notebook sees: the names, how light they are, and the documented example as it stands."""

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import embed_pipeline
from embed_pipeline.errors import InputError

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "notebook.md"
DOCUMENTS = ROOT / "examples" / "loft_stations" / "docs"


def test_every_name_is_there():
    for name in embed_pipeline.__all__:
        assert getattr(embed_pipeline, name).__doc__, name
    assert set(embed_pipeline.__all__) <= set(dir(embed_pipeline))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'finetune_all'"):
        _ = embed_pipeline.finetune_all


def test_importing_the_package_loads_nothing_heavy():
    script = "import sys, embed_pipeline; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) & {"torch", "polars", "dagster", "pydantic", "numpy"} == set()


def test_the_documented_example_runs_as_it_stands(tmp_path, monkeypatch):
    (tmp_path / "my_docs").mkdir()
    for document in sorted(DOCUMENTS.glob("*.md"))[:12]:
        shutil.copy(document, tmp_path / "my_docs")
    monkeypatch.chdir(tmp_path)
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert tried > 10
    assert failed == 0
    assert (tmp_path / "tuned" / "encoder.json").is_file()


def test_a_folder_that_holds_something_is_not_overwritten(tmp_path):
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "notes.txt").write_text("mine")
    data = embed_pipeline.TrainingData(None, None, None, [], None, None)
    with pytest.raises(InputError, match="tuned: holds something already"):
        embed_pipeline.train(data, tmp_path / "tuned")
    assert (tmp_path / "tuned" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("texts", "role", "message"),
    [("abc", "query", "must be a list"), ([1], "query", "must be a list"), (["a"], "foo", "role is 'foo'")],
)
def test_what_is_no_text_is_not_encoded(texts, role, message):
    with pytest.raises(InputError, match=message):
        embed_pipeline.encode(texts, None, role)


def test_no_folder_is_not_the_working_folder():
    with pytest.raises(InputError, match="folder is empty"):
        embed_pipeline.read_documents("")


def test_settings_are_read_from_a_path_given_as_text(tmp_path):
    (tmp_path / "pipeline.yaml").write_text("finetune: {epochs: 7}")
    assert embed_pipeline.load_settings(str(tmp_path / "pipeline.yaml"), environment={}).finetune.epochs == 7
