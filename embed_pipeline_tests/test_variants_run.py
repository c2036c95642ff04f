"""Variants as a user works with them, on a tiny real model: computed, compared, told where from, promoted."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from embed_pipeline.store.artifacts import Store
from embed_pipeline_tests.test_pipeline import SAMPLE, User

VARIANTS = """
variants:
  contracts: {corpus.path: contracts}   # another folder
  thorough:
    finetune: {epochs: 2}   # twice
"""


class Owner(User):
    """Somebody with a settings file of their own, kept in git."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, documents=14)
        self.file = folder / "pipeline.yaml"
        (folder / "contracts").mkdir()
        for path in sorted((SAMPLE / "docs").glob("*.md"))[10:24]:
            shutil.copy(path, folder / "contracts")
        values: dict[str, Any] = {}
        for _, override in zip(self.options[2::2], self.options[3::2], strict=True):
            name, _, value = override.partition("=")
            section, _, key = name.partition(".")
            values |= {section: {**values.get(section, {}), key: yaml.safe_load(value)}} if key else {section: value}
        self.file.write_text(f"# how we tune\n{yaml.safe_dump(values)}{VARIANTS}")
        self.options = ["--home", str(self.home), "--config", str(self.file)]
        self.git("init", "-q")
        self.git("add", "pipeline.yaml")
        self.git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "settings")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.file.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def json(self, verb: str, *arguments: str) -> Any:
        done = self.run(verb, "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def states(self) -> dict[str, str]:
        return {row["asset"]: row["state"] for row in self.json("status")["assets"]}


@pytest.fixture(scope="module")
def owner(tmp_path_factory) -> Iterator[Owner]:
    """A user who has run everything up to the metrics."""
    somebody = Owner(tmp_path_factory.mktemp("variants"))
    somebody.first = somebody.json("run", "--variant", "all")  # type: ignore[attr-defined]
    yield somebody
    somebody.stop()


def test_what_they_share_is_computed_once_and_nothing_is_deployed(owner):
    outcomes = {row["asset"]: row["outcome"] for row in owner.first["assets"]}
    assert set(outcomes.values()) == {"computed"}
    assert {name for name in outcomes if name.startswith("thorough__")} == {"thorough__checkpoint", "thorough__metrics"}
    assert {"splits", "contracts__splits", "metrics", "contracts__metrics", "variant_comparison"} <= set(outcomes)
    assert {"onnx_model", "endpoint"} & set(outcomes) == set()


def test_the_table_keeps_test_sets_apart(owner):
    main, contracts, thorough = owner.first["variants"]
    assert [one["variant"] for one in (main, contracts, thorough)] == ["main", "contracts", "thorough"]
    assert {one["state"] for one in (main, contracts, thorough)} == {"fresh"}
    assert (thorough["differs"], contracts["differs"].keys()) == ({"finetune.epochs": 2}, {"corpus.path"})
    versions = [one["results"][0]["test_set_version"] for one in (main, contracts, thorough)]
    assert versions[0] == versions[2] != versions[1]
    assert thorough["results"][0]["checkpoint"] != main["results"][0]["checkpoint"]
    stored = Store(owner.home).current("variant_comparison")
    assert stored.frame().to_dicts() == [row for one in (main, contracts, thorough) for row in one["results"]]
    page, text = stored.file("comparison.html").read_text(), stored.file("comparison.md").read_text()
    for shown in (page, text, owner.run("variants").stdout):
        assert versions[0] in shown
        assert versions[1] in shown
        assert "cannot be compared" in shown


def test_a_variant_is_stale_alone_and_a_new_one_is_told_as_missing(owner):
    document = next((owner.file.parent / "contracts").iterdir())
    before = document.read_text()
    document.write_text(before + "\n\nThe tether is inspected by two people every autumn.\n")
    try:
        stale = {name for name, state in owner.states().items() if state == "stale"}
        overview = owner.json("variants", "--set", "variants.late.finetune.seed=1")["variants"]
    finally:
        document.write_text(before)
    assert {name.partition("__")[0] for name in stale} == {"contracts", "variant_comparison"}
    assert [one["state"] for one in overview] == ["fresh", "stale", "fresh", "missing"]
    assert overview[3]["missing"] == ["late__checkpoint", "late__metrics"]
    assert "contracts__checkpoint" not in {name for name, state in owner.states().items() if state == "stale"}


def test_a_check_that_fails_stops_its_variant_and_nothing_else(owner):
    tiny = ("--set", "variants.tiny.sdg.min_questions=9999", "--set", "variants.tiny.sdg.max_questions=40")
    done = owner.run("run", "--json", "--variant", "tiny", "--variant", "thorough", *tiny)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    outcomes = {row["asset"]: row["outcome"] for row in report["assets"]}
    assert (outcomes["tiny__qa_pairs"], outcomes["tiny__splits"]) == ("computed", "skipped")
    assert outcomes["thorough__metrics"] == "reused"
    assert "metrics" not in outcomes
    (error,) = report["errors"]
    assert "tiny__qa_pairs" in error
    assert "sdg.min_questions is 9999" in error


def test_where_a_model_comes_from(owner):
    commit = owner.git("rev-parse", "HEAD")
    shown = owner.json("show", "contracts__metrics")
    told = shown["provenance"]
    assert (told["profile"], told["git"], told["questions_from"]) == ("cpu", commit, "offline generator")
    assert told["settings"]["corpus.path"] == str(owner.file.parent / "contracts")
    assert told["base_model"] == str(owner.file.parent / "model")
    assert told["documents"] == shown_documents(owner, "contracts__documents")
    assert told["upstream"]["contracts__checkpoint"] == Store(owner.home).current("contracts__checkpoint").version
    assert (owner.home / "runs" / told["run"] / "contracts__metrics.json").is_file()
    assert f"git: {commit}" in owner.run("show", "thorough__checkpoint").stdout
    report = Store(owner.home).current("contracts__metrics").file("report.html").read_text()
    assert told["corpus_version"] in report
    assert commit not in report


def shown_documents(owner: Owner, asset: str) -> int:
    return Store(owner.home).current(asset).frame().height


def test_a_promoted_variant_is_taken_over_without_training_and_deployed(owner):
    store = Store(owner.home)
    tuned = store.current("thorough__checkpoint").version
    plan = owner.json("promote", "thorough", "--plan")
    assert plan["changed"] == ["+  epochs: 2"]
    assert {row["asset"] for row in plan["assets"] if row["action"] == "compute"} == {
        "onnx_model", "onnx_int8_model", "tensorrt_engine", "endpoint", "endpoint_metrics", "report"
    }  # fmt: skip
    assert "epochs: 2" not in owner.file.read_text().partition("variants:")[0]

    report = owner.json("promote", "thorough")
    outcomes = {row["asset"]: row["outcome"] for row in report["assets"]}
    assert (outcomes["checkpoint"], outcomes["metrics"], outcomes["training_set"]) == ("reused", "reused", "reused")
    assert outcomes["endpoint"] == "computed"
    assert store.current("checkpoint").version == tuned
    assert store.current("onnx_model").manifest().inputs["checkpoint"] == tuned
    answer = httpx.get(f"{report['endpoint']['url']}/v1/models", trust_env=False)
    assert report["endpoint"]["model_version"] == store.current("onnx_model").version
    assert answer.status_code == 200

    written = owner.file.read_text()
    assert written.startswith("# how we tune\n")
    assert "contracts: {corpus.path: contracts}   # another folder" in written
    assert yaml.safe_load(written)["finetune"]["epochs"] == 2
    assert not any(name.startswith("thorough__") for name in owner.states())  # it is the main graph now
    assert owner.json("show", "checkpoint")["provenance"]["settings"]["finetune.epochs"] == 2
    assert owner.json("promote", "thorough", "--plan")["changed"] == []
