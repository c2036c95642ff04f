"""The whole graph on a CPU as a user runs it: real documents, a tiny real model, a real endpoint, real kills."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from embed_pipeline.cli.inspect import status_rows
from embed_pipeline.definitions import build_defs
from embed_pipeline.defs.up_to_date import CHECK, look
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.graph import stages
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.watched import WatchedStore
from embed_pipeline_tests.finetune.build import tiny_model
from embed_pipeline_tests.ports import free_port

SAMPLE = Path(__file__).parents[1] / "examples" / "loft_stations"
ASSETS = 18


class User:
    """Somebody at a shell: one corpus, one home, one port."""

    def __init__(self, folder: Path, documents: int) -> None:
        self.corpus = folder / "corpus"
        self.home = folder / "home"
        self.corpus.mkdir(parents=True)
        for path in sorted((SAMPLE / "docs").glob("*.md"))[:documents]:
            shutil.copy(path, self.corpus)
        tiny_model(folder / "model")
        overrides = {
            "base_model": str(folder / "model"),
            "encoder.max_query_length": 32,
            "encoder.max_passage_length": 64,
            "finetune.max_query_length": 32,
            "finetune.max_passage_length": 64,
            "finetune.learning_rate": 0.001,
            "sdg.max_questions": 150,
            "eval.resamples": 200,
            "deploy.port": free_port(),
            "corpus.path": str(self.corpus),
        }
        self.options = ["--home", str(self.home)]
        self.options += [word for name, value in overrides.items() for word in ("--set", f"{name}={value}")]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "embed_pipeline.cli", *arguments]

    def run(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Options given here win over the user's usual ones."""
        command = self.command(verb, *self.options, *arguments)
        return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=self.home.parent)

    def outcomes(self, *arguments: str) -> dict[str, str]:
        done = self.run("run", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return {row["asset"]: row["outcome"] for row in json.loads(done.stdout)["assets"]}

    def plan(self) -> dict[str, list[str]]:
        done = self.run("run", "--plan", "--json")
        assert done.returncode == 0, done.stderr
        rows = json.loads(done.stdout)["assets"]
        return {row["asset"]: row["reasons"] for row in rows if row["action"] == "compute"}

    def stop(self) -> None:
        subprocess.run(self.command("stop", "--home", str(self.home)), timeout=60, check=True, capture_output=True)


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> Iterator[User]:
    """A user whose first run is done."""
    somebody = User(tmp_path_factory.mktemp("pipeline"), documents=14)
    first = somebody.run("run", "--json")
    assert first.returncode == 0, first.stderr
    somebody.first = json.loads(first.stdout)  # type: ignore[attr-defined]
    yield somebody
    somebody.stop()


def test_first_run_computes_everything_and_serves(user):
    report = user.first
    outcomes = {row["asset"]: row["outcome"] for row in report["assets"]}
    assert len(outcomes) == ASSETS
    assert outcomes.pop("tensorrt_engine") in ("skipped", "computed")
    assert set(outcomes.values()) == {"computed"}
    assert report["verdict"] in ("ship", "no_gain")
    endpoint = report["endpoint"]
    answer = httpx.post(
        f"{endpoint['url']}/v1/embeddings",
        json={"model": endpoint["model"], "input": ["how is the tether reeled in?"], "input_type": "query"},
        trust_env=False,
    )
    assert answer.status_code == 200
    assert len(answer.json()["data"][0]["embedding"]) == 32


def test_second_run_computes_nothing_within_20_seconds(user):
    """Of computing, so that tests beside it do not count."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    outcomes = user.outcomes()
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime < 20
    assert set(outcomes.values()) <= {"reused", "skipped"}
    assert len(outcomes) == ASSETS


def test_runs_are_compared_by_what_their_records_keep(user):
    first = json.loads(user.run("history", "--json").stdout)["runs"][-1]
    found = json.loads(user.run("compare", "--json", first["run_id"][:12], "current").stdout)
    assert found["before"]["run_id"] == first["run_id"]
    assert (found["corpus_changed"], found["settings"], found["assets"]) == (False, {}, {})
    questions = found["test_sets"]["synthetic"]
    assert questions["comparable"], questions["why"]
    assert set(questions["systems"]) >= {"base", "tuned", "bm25", "convex", "convex_tuned"}
    for metrics in questions["systems"].values():
        assert {metric: row["delta"] for metric, row in metrics.items()} == {"ndcg@10": 0, "recall@10": 0}


def test_the_commands_printed_at_the_end_name_this_home(user):
    printed = user.run("run").stdout
    assert f"stop --home {user.home}" in printed
    assert f"ui --home {user.home}" in printed


def test_touch_edit_undo(user):
    document = sorted(user.corpus.iterdir())[0]
    original = document.read_text()
    os.utime(document)
    assert user.plan() == {}

    document.write_text(original + "\n\nThe crew keeps a paper copy of this page in the cradle hut.\n")
    plan = user.plan()
    assert plan["corpus_manifest"] == ["corpus changed"]
    assert plan["documents"] == ["follows corpus_manifest"]
    assert set(plan) >= {"passages", "qa_candidates", "checkpoint", "endpoint_metrics"}

    document.write_text(original)
    assert user.plan() == {}


def test_a_setting_reruns_only_what_it_changes(user):
    user.options += ["--set", "eval.resamples=300"]
    try:
        plan = user.plan()
    finally:
        del user.options[-2:]
    assert set(plan) == {"base_metrics", "metrics", "endpoint_metrics", "report"}
    assert plan["base_metrics"] == ["setting eval.resamples changed"]


def test_stopped_endpoint_is_started_again_and_nothing_else_is_done(user):
    user.stop()
    outcomes = user.outcomes()
    assert {name for name, outcome in outcomes.items() if outcome == "computed"} == {"endpoint"}


def test_status_and_show(user):
    status = json.loads(user.run("status", "--json").stdout)
    assert {row["state"] for row in status["assets"]} == {"fresh"}
    shown = subprocess.run(
        user.command("show", "metrics", "--json", "--home", str(user.home)), capture_output=True, text=True, timeout=60
    )
    metrics = json.loads(shown.stdout)
    row = metrics["comparison"]["synthetic"]["ndcg@10"]
    assert set(row) >= {"base", "tuned", "delta", "ci95", "p"}
    assert set(metrics["test_sets"]["synthetic"]) >= {"base", "tuned", "bm25", "hybrid"}


def told(user: User, *more: str) -> tuple[dict[str, str], dict[str, str], set[str]]:
    """What the command line says is not fresh, what the pages of the web UI say after a tick, what Dagster says."""
    overrides = [word for word in (*user.options, *more) if "=" in word]
    settings = load_settings(None, None, overrides, {})
    graph = stages(settings)
    status = status_rows(settings, user.home)
    by_command = {row["asset"]: "; ".join(row["reasons"]) for row in status if row["state"] != "fresh"}
    with dg.DagsterInstance.get() as instance:
        look(instance, settings, WatchedStore(user.home), graph)
        keys = {dg.AssetCheckKey(dg.AssetKey(name), CHECK): name for name in graph}
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(keys))
        evaluations = {
            keys[key]: record.event.dagster_event.asset_check_evaluation_data for key, record in records.items()
        }
        shown = {name: str(one.description) for name, one in evaluations.items() if not one.passed}
        assets = build_defs(settings, user.home).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, assets, LoadingContextForTest(instance))
        stale = {name for name in graph if resolver.get_status(dg.AssetKey(name)).value != "FRESH"}
    return by_command, shown, stale


def test_the_web_ui_says_what_status_says(user, tmp_path, monkeypatch):
    """One change after another, each undone or run away before the next."""
    monkeypatch.setenv("DAGSTER_HOME", str(user.home / "dagster"))
    document = sorted(user.corpus.iterdir())[0]
    original = document.read_text()
    assert told(user) == ({}, {}, set())

    os.utime(document)
    assert told(user) == ({}, {}, set())

    document.write_text(original + "\n\nThe crew keeps a paper copy of this page.\n")
    by_command, shown, stale = told(user)
    assert shown == by_command
    assert shown["corpus_manifest"] == "corpus changed"
    assert shown["endpoint_metrics"].startswith("follows ")
    assert stale == {"corpus_manifest"}
    document.write_text(original)
    assert told(user) == ({}, {}, set())

    by_command, shown, stale = told(user, "--set", "eval.resamples=300")
    assert shown == by_command
    assert (shown["base_metrics"], "metrics" in stale) == ("setting eval.resamples changed", True)

    gold = tmp_path / "gold"
    (gold / "qrels").mkdir(parents=True)
    (gold / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "how is the tether reeled in?"}))
    (gold / "qrels" / "test.tsv").write_text(f"q\t{document.name}\t1")
    by_command, shown, stale = told(user, "--set", f"eval.gold={gold}")
    assert shown == by_command
    assert shown["base_metrics"] == "gold changed"
    assert {"base_metrics", "metrics", "endpoint_metrics"} <= stale
    assert told(user) == ({}, {}, set())

    checkpoint = Store(user.home).current("checkpoint")
    assert checkpoint is not None
    weights = checkpoint.file("model.safetensors")
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"?")
    by_command, shown, _ = told(user)
    assert shown == by_command
    assert shown["checkpoint"] == "stored artifact damaged"
    weights.write_bytes(whole)
    assert told(user) == ({}, {}, set())

    user.stop()
    by_command, shown, stale = told(user)
    assert shown == by_command == {"endpoint": "not running any more, or failed its last check"}
    assert stale == {"endpoint"}
    user.outcomes()
    assert told(user) == ({}, {}, set())


def test_another_port_is_told_with_all_that_it_makes_run(user):
    user.options += ["--set", f"deploy.port={free_port()}"]
    try:
        plan = user.plan()
    finally:
        del user.options[-2:]
    assert plan == {
        "endpoint": ["setting deploy.port changed"],
        "endpoint_metrics": ["follows endpoint"],
        "report": ["follows endpoint_metrics"],
    }


def test_port_in_use_is_refused(user, tmp_path):
    import socket

    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        done = user.run("run", "--set", f"deploy.port={port}")
    assert done.returncode == 2, done.stderr
    assert f"{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_imported_questions_and_gold(user, tmp_path):
    documents = sorted(path.name for path in user.corpus.iterdir())
    texts = {name: (user.corpus / name).read_text() for name in documents}
    rows = []
    for name, text in texts.items():
        lines = [line for line in text.splitlines() if len(line) > 80 and line[0].isalpha()]
        plain = [line for line in lines if not set(line[:70]) & set("|*`_[")]
        rows += [
            {"question": " ".join(line.split()[3:12]), "evidence": [{"document": name, "text": line[:70]}]}
            for line in plain[:4]
        ]
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(json.dumps(row) for row in rows))
    gold = tmp_path / "gold"
    (gold / "qrels").mkdir(parents=True)
    asked = {name: name[4:-3] for name in documents} | {"known": rows[0]["question"]}
    (gold / "queries.jsonl").write_text("\n".join(json.dumps({"_id": name, "text": asked[name]}) for name in asked))
    judged = [*((name, name) for name in documents), ("known", documents[0])]
    (gold / "qrels" / "test.tsv").write_text("\n".join(f"{query}\t{document}\t1" for query, document in judged))

    other = ["--home", str(tmp_path / "home"), "--set", f"sdg.import_from={questions}", "--set", f"eval.gold={gold}"]
    other += ["--set", "sdg.min_questions=5", "--set", "sdg.dedup_threshold=1.0"]  # to a random model all are alike
    other += ["--set", "prep.train_ratio=1", "--set", "prep.validation_ratio=0", "--set", "prep.test_ratio=0"]
    done = user.run("eval", "--json", *other)
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        user.command("show", "metrics", "--json", "--home", str(tmp_path / "home")), capture_output=True, timeout=60
    )
    metrics = json.loads(shown.stdout)
    assert set(metrics["comparison"]) == {"gold", "general"}
    assert metrics["decision"]["test_set"] == "gold"  # the verdict rests on the human questions alone
    assert "questions are training questions as well" in done.stderr
    assert "relevant passages are evidence of training questions" in done.stderr
    pairs = json.loads(
        subprocess.run(
            user.command("show", "qa_pairs", "--json", "--home", str(tmp_path / "home")),
            capture_output=True,
            timeout=60,
        ).stdout
    )
    assert pairs["rows"] > 5
    assert {row["generator"] for row in pairs["sample"]} == {"imported"}


def test_unknown_passages_in_an_import_are_refused(user, tmp_path):
    questions = tmp_path / "questions.jsonl"
    questions.write_text(json.dumps({"question": "what is this?", "passage_ids": ["no-such-passage"]}))
    done = user.run("sdg", "--set", f"sdg.import_from={questions}")
    assert done.returncode == 2, done.stderr
    assert "no-such-passage" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.timeout(600)
def test_kill_at_random_moments_then_complete(tmp_path):
    """``kill -9`` while it runs, three times; then it completes, and repeats no stage that had finished."""
    somebody = User(tmp_path / "killed", documents=10)
    moments = random.Random(7)
    finished: dict[str, str] = {}
    try:
        for _ in range(3):
            process = subprocess.Popen(
                somebody.command("run", *somebody.options),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            time.sleep(moments.uniform(4, 22))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for pointer in somebody.home.glob("artifacts/*/current.json"):
                version = json.loads(pointer.read_text())["version"]
                assert finished.setdefault(pointer.parent.name, version) == version
        outcomes = somebody.outcomes()
        repeated = {name for name in finished if outcomes[name] == "computed"}
        assert repeated <= {"endpoint"}  # its server may have been started again
        assert not list(somebody.home.glob("artifacts/*/.*.tmp"))  # leftovers of the killed are gone
        assert set(somebody.outcomes().values()) <= {"reused", "skipped"}
    finally:
        somebody.stop()
