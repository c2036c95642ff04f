"""``promote RUN``: the overrides of an experiment become lines of the settings file, then everything runs."""

import re

import pytest

from embed_pipeline.cli import run as run_command
from embed_pipeline.cli.options import Context
from embed_pipeline.cli.promote import promote_named, promote_run
from embed_pipeline.errors import SettingsError
from embed_pipeline.store.history import History

RECORD = {
    "run_id": "aaaa1111",
    "started": "2026-01-02T03:04:05+00:00",
    "status": "succeeded",
    "overrides": ["finetune.epochs=7", "eval.resamples=300"],
    "errors": [],
}
FILE = """# what we have found
finetune:
  epochs: 3      # by hand
"""


@pytest.fixture
def ran(monkeypatch):
    """What would be run; the runs themselves are tested elsewhere."""
    calls = []

    def run(settings, home, to, force, *, plan, **_):
        calls.append((settings, plan))
        return 0

    monkeypatch.setattr(run_command, "run", run)
    return calls


def context(folder, config, overrides=()):
    History(folder / "home").write(RECORD)
    return Context(folder / "home", True, None, None, config, True, tuple(overrides), False)


def test_only_its_lines_change_and_the_run_has_its_settings(tmp_path, ran, capsys):
    file = tmp_path / "pipeline.yaml"
    file.write_text(FILE)
    assert promote_run(context(tmp_path, file), "aaaa", plan=False) == 0
    assert file.read_text() == FILE.replace("3 ", "7 ") + "eval:\n  resamples: 300\n"
    ((settings, planned),) = ran
    assert (settings.finetune.epochs, settings.eval.resamples, planned) == (7, 300, False)
    told = capsys.readouterr().err
    assert "+  epochs: 7" in told
    assert f"{file}: written" in told


def test_a_plan_writes_nothing(tmp_path, ran, capsys):
    file = tmp_path / "pipeline.yaml"
    file.write_text(FILE)
    promote_run(context(tmp_path, file), "aaaa", plan=True)
    assert file.read_text() == FILE
    ((settings, planned),) = ran
    assert (settings.finetune.epochs, planned) == (7, True)
    assert "would be written" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_made(tmp_path, ran):
    file = tmp_path / "new.yaml"
    promote_run(context(tmp_path, file), "aaaa", plan=False)
    assert file.read_text() == "finetune:\n  epochs: 7\neval:\n  resamples: 300\n"
    assert ran[0][0].finetune.epochs == 7


def test_without_a_file_it_says_to_name_one(tmp_path, ran):
    with pytest.raises(SettingsError, match="name one with --config"):
        promote_run(context(tmp_path, None), "aaaa", plan=False)
    assert ran == []


def test_what_is_given_besides_must_not_hide_it(tmp_path, ran):
    file = tmp_path / "pipeline.yaml"
    file.write_text(FILE)
    with pytest.raises(SettingsError, match=r"would hide finetune\.epochs"):
        promote_run(context(tmp_path, file, ["finetune.epochs=2"]), "aaaa", plan=False)
    assert file.read_text() == FILE


def test_an_unknown_run_is_refused_and_nothing_is_written(tmp_path, ran):
    file = tmp_path / "pipeline.yaml"
    with pytest.raises(SettingsError, match="not in the history"):
        promote_run(context(tmp_path, file), "bbbb", plan=False)
    assert not file.exists()


def test_what_the_run_had_otherwise_is_told_in_one_line_before_anything_is_written(tmp_path, ran, capsys):
    file = tmp_path / "pipeline.yaml"
    file.write_text(FILE)
    settings = {
        "finetune.epochs": 7,
        "eval.resamples": 300,
        "prep.seed": 9,
        "deploy.port": 9999,
        "launchpad.models": ["m"],
    }
    record = RECORD | {"profile": "cpu", "settings": settings}
    home = context(tmp_path, file, ["finetune.learning_rate=0.5"])
    History(tmp_path / "home").write(record)
    promote_run(home, "aaaa", plan=True)
    told = capsys.readouterr().err
    (line,) = [line for line in told.splitlines() if line.startswith("warning:")]
    assert "run aaaa1111 ran with other settings" in line
    assert "prep.seed: 9 -> 42" in line
    assert re.search(r"finetune.learning_rate: \S+ -> 0\.5", line)
    assert "deploy.port" not in line
    assert "launchpad" not in line
    assert "finetune.epochs" not in line


def test_a_run_with_the_settings_of_now_is_promoted_without_a_warning(tmp_path, ran, capsys):
    file = tmp_path / "pipeline.yaml"
    file.write_text(FILE)
    home = context(tmp_path, file)
    History(tmp_path / "home").write(
        RECORD | {"profile": "cpu", "settings": {"finetune.epochs": 7, "eval.resamples": 300}}
    )
    promote_run(home, "aaaa", plan=False)
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_id_is_one_sentence(tmp_path, ran, name):
    with pytest.raises(SettingsError, match=r"the id is empty; give that of a run"):
        promote_named(context(tmp_path, tmp_path / "pipeline.yaml"), name, plan=True)
