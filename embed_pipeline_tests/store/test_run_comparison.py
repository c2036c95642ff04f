"""Two runs side by side, from their records."""

import json
from typing import Any

import pytest

from embed_pipeline.errors import InputError
from embed_pipeline.files import sha256_json, temporary_folder
from embed_pipeline.store.artifacts import DATA, Artifact, Store
from embed_pipeline.store.gc import collect
from embed_pipeline.store.history import History, figures_of
from embed_pipeline.store.run_comparison import compare_runs, find_run, run_facts
from embed_pipeline_tests.store.test_artifacts import values

SUMMARY: dict[str, Any] = {
    "verdict": "ship",
    "decision": {"firm": False},
    "test_sets": {"synthetic": {"base": {"ndcg@10": 0.5, "mrr@10": 0.4}, "tuned": {"ndcg@10": 0.6, "recall@10": 0.7}}},
    "test_set_versions": {"synthetic": "a1"},
}


def commit(store: Store, summary: dict) -> Artifact:
    with temporary_folder(store.staging("metrics"), "new") as staged:
        (staged / DATA).mkdir()
        (staged / DATA / "summary.json").write_text(json.dumps(summary))
        return store.commit(staged, values(sha256_json(summary), "metrics"))


def record(run_id: str, metrics: Artifact | None = None, **changed) -> dict:
    assets = {"corpus_manifest": {"outcome": "reused", "version": "c1", "key": "k"}}
    if metrics is not None:
        assets["metrics"] = {"outcome": "computed", "version": metrics.version, "key": "k"}
    return {
        "run_id": run_id,
        "started": "2026-01-02T03:04:05+00:00",
        "finished": "2026-01-02T03:05:05+00:00",
        "status": "succeeded",
        "started_by": "ui",
        "experiment": False,
        "overrides": [],
        "profile": "cpu",
        "settings": {},
        "git": None,
        "assets": assets,
        "cost": {"usd": 0.5},
        "errors": [],
        **({} if metrics is None else figures_of(metrics)),
        **changed,
    }


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


def test_figures_of_the_same_questions_are_subtracted(store):
    better = json.loads(json.dumps(SUMMARY))
    better["test_sets"]["synthetic"]["tuned"]["ndcg@10"] = 0.75
    before, after = record("a", commit(store, SUMMARY)), record("b", commit(store, better))
    found = compare_runs(before, after, store)
    (test_set,) = found["test_sets"].values()
    assert test_set["comparable"]
    assert test_set["systems"]["tuned"]["ndcg@10"] == {"before": 0.6, "after": 0.75, "delta": 0.15}
    assert test_set["systems"]["base"]["ndcg@10"]["delta"] == 0
    assert found["assets"].keys() == {"metrics"}
    assert (found["corpus_changed"], found["settings"]) == (False, {})
    assert (found["before"]["seconds"], found["before"]["cost"], found["before"]["firm"]) == (60.0, {"usd": 0.5}, False)


@pytest.mark.parametrize(
    ("versions", "why"),
    [({"synthetic": "other"}, "are not the same"), ({}, "was not recorded")],
)
def test_figures_of_other_questions_are_not(store, versions, why):
    before = record("a", commit(store, SUMMARY))
    after = record("b", commit(store, SUMMARY | {"test_set_versions": versions}))
    found = compare_runs(before, after, store)["test_sets"]["synthetic"]
    assert not found["comparable"]
    assert why in found["why"]
    assert found["systems"]["tuned"]["ndcg@10"] == {"before": 0.6, "after": 0.6, "delta": None}


def test_a_set_of_one_run_alone_is_shown(store):
    found = compare_runs(record("a"), record("b", commit(store, SUMMARY)), store)["test_sets"]["synthetic"]
    assert found["why"] == "The first run was not measured on this set."
    assert found["systems"]["base"]["ndcg@10"] == {"before": None, "after": 0.5, "delta": None}


def test_records_tell_it_all_when_the_artifacts_are_gone(store):
    made = commit(store, SUMMARY)
    kept = record("a", made)
    store.point(commit(store, SUMMARY | {"verdict": "no_gain"}), "k", "computed", 1.0)
    collect(store.home)
    assert not made.folder.exists()
    assert run_facts(kept, store)["figures"]["synthetic"]["tuned"] == {"ndcg@10": 0.6, "recall@10": 0.7}


def test_an_older_record_is_completed_from_its_metrics_and_else_told_as_it_is(store):
    made = commit(store, SUMMARY)
    old = record("a", made, ndcg_at_10={"synthetic": {"base": 0.5, "tuned": 0.6}})
    for name in ("figures", "test_set_versions", "firm", "cost", "profile", "settings"):
        del old[name]
    assert run_facts(old, store)["figures"]["synthetic"]["tuned"] == {"ndcg@10": 0.6, "recall@10": 0.7}
    gone = json.loads(json.dumps(old))
    gone["assets"]["metrics"]["version"] = "f" * 64
    assert run_facts(gone, store)["figures"]["synthetic"]["tuned"] == {"ndcg@10": 0.6}
    assert compare_runs(old, gone, store)["settings"] is None
    assert not compare_runs(old, gone, store)["test_sets"]["synthetic"]["comparable"]


def test_settings_and_corpus_that_differ(store):
    other = record("b", settings={"finetune.epochs": 7, "corpus.path": "/b"}, profile="cpu")
    other["assets"]["corpus_manifest"]["version"] = "c2"
    found = compare_runs(record("a", settings={"corpus.path": "/a"}), other, store)
    assert found["corpus_changed"]
    assert found["settings"]["corpus.path"] == {"before": "/a", "after": "/b"}
    assert found["settings"].keys() == {"corpus.path", "finetune.epochs"}
    assert found["settings"]["finetune.epochs"]["after"] == 7


def test_settings_of_two_profiles_differ_by_their_values(store):
    found = compare_runs(record("a"), record("b", profile="gpu"), store)["settings"]
    assert found
    assert all(values["before"] != values["after"] for values in found.values())
    assert "profile" not in found


def test_a_run_is_found_by_how_its_id_begins_or_as_the_one_in_use(store):
    made, unused = commit(store, SUMMARY), commit(store, SUMMARY | {"verdict": "regress"})
    store.point(made, "k", "computed", 1.0)
    history = History(store.home)
    for one in (
        record("aa1", made),
        record("ab2", unused, started="2026-01-03T03:04:05+00:00"),
        record("ac3", made, started="2026-01-04T03:04:05+00:00", experiment=True),
    ):
        history.write(one)
    assert find_run(store.home, "ab")["run_id"] == "ab2"
    assert find_run(store.home, "current")["run_id"] == "aa1"
    for named, why in {"x": "not in the history", "": "not in the history", "a": "3 runs"}.items():
        with pytest.raises(InputError, match=why):
            find_run(store.home, named)


def test_without_metrics_there_is_no_current_run(store):
    History(store.home).write(record("a"))
    with pytest.raises(InputError, match="no run of"):
        find_run(store.home, "current")
