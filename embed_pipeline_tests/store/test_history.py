"""The record of every run, and which of them can be promoted."""

import json

import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.store.gc import collect
from embed_pipeline.store.history import History, experiment

RECORD = {
    "run_id": "aaaa1111",
    "started": "2026-01-02T03:04:05+00:00",
    "status": "succeeded",
    "overrides": ["finetune.epochs=7"],
    "errors": [],
}


def test_records_are_read_back_the_latest_first_and_survive_garbage_collection(tmp_path):
    history = History(tmp_path)
    later = RECORD | {"run_id": "bbbb2222", "started": "2026-02-02T03:04:05+00:00"}
    history.write(RECORD)
    history.write(later)
    collect(tmp_path)
    assert history.all() == [later, RECORD]
    assert history.of("aaaa1111") == RECORD
    assert history.of("cccc") == {}


def test_what_is_no_record_is_left_out(tmp_path):
    history = History(tmp_path)
    history.write(RECORD)
    (tmp_path / "history" / "x.json").write_text("{")
    (tmp_path / "history" / "y.json").write_text("{}")
    assert history.all() == [RECORD]
    assert History(tmp_path / "nowhere").all() == []


def test_an_experiment_is_found_by_the_beginning_of_its_id(tmp_path):
    History(tmp_path).write(RECORD)
    assert experiment(tmp_path, "aaaa") == RECORD


@pytest.mark.parametrize(
    "field", ["run_id", "started", "status", "overrides", "errors", "assets", "settings", "profile"]
)
@pytest.mark.parametrize("damage", [5, True, {"a": 1}, ["a"], "text"])
def test_a_record_with_a_field_of_another_kind_is_left_out_and_harms_no_other(tmp_path, field, damage):
    history = History(tmp_path)
    history.write(RECORD)
    damaged = RECORD | {"assets": {}, "settings": {}, "profile": "cpu", field: damage}
    (history.folder / "cccc.json").write_text(json.dumps(damaged))
    kept = [one for one in history.all() if one != RECORD]
    assert kept == [] or type(damage) is type((RECORD | {"assets": {}, "settings": {}, "profile": "cpu"})[field])
    assert RECORD in history.all()


@pytest.mark.parametrize(
    ("changed", "asked", "why"),
    [
        ({}, "cccc", "is not in the history of"),
        ({}, "", "is not in the history of"),
        ({"overrides": []}, "aaaa", "is no experiment"),
        ({"status": "failed", "errors": [{"text": "checkpoint: no", "exit_code": 1}]}, "aaaa", "checkpoint: no"),
        ({"status": "started"}, "aaaa", "is not through"),
    ],
)
def test_what_cannot_be_promoted_says_why(tmp_path, changed, asked, why):
    History(tmp_path).write(RECORD | changed)
    with pytest.raises(SettingsError, match=why):
        experiment(tmp_path, asked)


def test_an_ambiguous_beginning_is_refused(tmp_path):
    History(tmp_path).write(RECORD)
    History(tmp_path).write(RECORD | {"run_id": "aaaa2222"})
    with pytest.raises(SettingsError, match="2 runs"):
        experiment(tmp_path, "aaaa")
