"""candidate_metrics on real parts: a model folder, a server on a loopback socket, and one that is not there."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from embed_pipeline.errors import SettingsError
from embed_pipeline.evaluation.evaluate import evaluate_base
from embed_pipeline.files import write_json
from embed_pipeline.formats.beir import write_judged, write_retrieval_set
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.settings import Settings
from embed_pipeline.settings.protected import refuse_protected
from embed_pipeline.settings.sources import absolute_overrides, load_settings
from embed_pipeline.stages import inputs
from embed_pipeline.stages.candidates import NAME, _weighing, all_measured, candidate_stages
from embed_pipeline.stages.declare import StageRun, Storage, cached_encoder, stage
from embed_pipeline.stages.embeddings import encoders_in_use
from embed_pipeline.stages.eval import RUNS
from embed_pipeline.stages.graph import selection, stages
from embed_pipeline.stages.run import StageResult, run_stage
from embed_pipeline.store.artifacts import Artifact, Store
from embed_pipeline_tests.embeddings_server import EmbeddingsServer, embeddings_server
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set
from embed_pipeline_tests.finetune.build import tiny_model

SET = numbered_set(30)
PASSAGES = {"passage_id": list(SET.passages), "title": [""] * 30, "text": list(SET.passages.values())}


@pytest.fixture
def server() -> Iterator[EmbeddingsServer]:
    with embeddings_server() as found:
        yield found


@pytest.fixture(autouse=True)
def without_general(monkeypatch):
    """The general questions would be encoded by every candidate too."""
    monkeypatch.setattr("embed_pipeline.stages.candidates.evaluated_sets", inputs.retrieval_sets)


def made(store: Store, name: str, write, storage: Storage = "folder") -> Artifact:
    def compute(run: StageRun) -> None:
        """Content of a test."""
        write(run)

    compute.__name__ = name
    declared = stage(group="x", version="1", storage=storage)(compute)
    return run_stage(declared, load_settings(None, None, (), {}), store, {}, force=True).artifact


def measured(tmp_path: Path, *overrides: str, force: bool = False) -> tuple[StageResult, Settings]:
    """Run the asset; the base model is a tiny random one."""
    base = tmp_path / "base"
    if not base.exists():
        tiny_model(base)
    short = ["encoder.max_query_length=16", "encoder.max_passage_length=32", "eval.resamples=100"]
    settings = load_settings(None, None, [f"base_model={base}", *short, *overrides], {})
    store = Store(tmp_path / "home")

    def benchmark(run: StageRun) -> None:
        write_retrieval_set(SET, run.folder)
        write_judged(SET, run.folder / "validation", "validation")

    def base_metrics(run: StageRun) -> None:
        spec = inputs_spec(settings)
        found = evaluate_base([SET], cached_encoder(store.home, settings, spec), settings.eval)
        run.write_table(found.query_metrics)
        run.write_table(found.runs, RUNS)
        write_json(run.folder / "fusion.json", found.fusion.as_json())

    given = {
        "beir_benchmark": made(store, "beir_benchmark", benchmark),
        "passages": made(store, "passages", lambda run: run.write_table(pl.DataFrame(PASSAGES)), "table"),
        "base_metrics": made(store, "base_metrics", base_metrics, "table"),
    }
    (declared,) = candidate_stages(settings)
    done = run_stage(declared, settings, store, given, force)
    store.point(done.artifact, done.key, done.outcome, done.seconds)
    return done, settings


def inputs_spec(settings: Settings):
    from embed_pipeline.encoders.base_model import base_encoder_spec

    return base_encoder_spec(settings.base_model, settings.encoder)


def test_a_model_an_endpoint_and_one_that_is_missing(tmp_path, server, monkeypatch):
    monkeypatch.setenv("EMBEDDINGS_API_KEY", "key-of-a-test")
    monkeypatch.setattr("embed_pipeline.evaluation.fusion_weight.weight_of", lambda _: 0.3)
    url = server.url
    tiny_model(tmp_path / "other", query_prompt="")
    (tmp_path / "nothing").mkdir()
    names = [url, str(tmp_path / "other"), str(tmp_path / "nothing")]
    lines: list[str] = []
    with reporting(LogReporter(lines.append)):
        done, settings = measured(tmp_path, f"eval.candidates={json.dumps(names)}")
    rows = {row["candidate"]: row for row in done.artifact.frame().iter_rows(named=True)}
    assert set(rows) == {settings.base_model, *names}
    best, base, missing = rows[url], rows[settings.base_model], rows[str(tmp_path / "nothing")]
    assert done.artifact.frame().row(0, named=True)["candidate"] == url
    assert best["ndcg_at_10"] > 0.9 > base["ndcg_at_10"]
    assert best["delta"] == pytest.approx(best["ndcg_at_10"] - base["ndcg_at_10"], abs=1e-5)
    assert best["p_corrected"] < 0.05
    assert (best["weight"], base["weight"], missing["weight"]) == (0.3, 0.3, None), "what the questions chose"
    assert (best["dimensions"], best["parameters"], best["bytes"]) == (512, None, None)
    assert best["passages_per_second"] > 0
    assert base["delta"] == 0 and base["max_tokens"] == 64
    assert base["parameters"] > 30522 * 32 and base["bytes"] > 4 * 30522 * 32
    assert missing["ndcg_at_10"] is None and "holds no config.json" in missing["problem"]
    assert {asked for _, asked in server.asked} == {"Bearer key-of-a-test"}
    assert {body["model"] for body, _ in server.asked} == {"words"}
    assert f"passages and questions are sent to 127.0.0.1:{server.server_port}" in "\n".join(lines)
    assert "key-of-a-test" not in "\n".join(lines)
    kept = encoders_in_use(settings)([done.artifact])
    folders = {path.name for path in (tmp_path / "home" / "cache" / "embeddings").iterdir()}
    assert folders <= kept, "what gc would remove would have to be computed, and paid for, once more"

    assert not all_measured(done.artifact, settings, tmp_path)
    sent = len(server.asked)
    again, _ = measured(tmp_path, f"eval.candidates={json.dumps(names)}", force=True)
    assert again.outcome == "computed"
    assert len(server.asked) - sent <= 3, "only the speed and the length are asked anew"


def test_each_is_fused_at_the_weight_that_serves_it():
    from embed_pipeline.evaluation.candidates import evaluate_candidate
    from embed_pipeline.evaluation.lexical import found_by_words
    from embed_pipeline.evaluation.systems import depth

    chosen, asked = load_settings(None, None, (), {}), numbered_set(40)
    blind, sees = WordEncoder(blind=[f"topic{one}" for one in range(40)]), WordEncoder()
    weigh = _weighing(chosen, asked)
    assert weigh(blind) < 0.5 == weigh(sees) == _weighing(chosen, None)(blind)
    sparse = found_by_words(asked, chosen.eval, depth(chosen.eval))
    found = [evaluate_candidate([asked], blind, lambda _: sparse, chosen.eval, one)[1] for one in (weigh(blind), 0.5)]
    fused = [one[asked.name].column("ndcg@10").mean() for one in found]
    assert fused[0] > fused[1]


def test_the_asset_is_there_only_with_candidates():
    none, some = (load_settings(None, None, [f"eval.candidates={one}"], {}) for one in ("[]", "[a/b]"))
    assert NAME not in stages(none)
    assert NAME in selection("eval", stages(some))
    assert stages(some)["metrics"].settings_part(some) == stages(none)["metrics"].settings_part(none)


def test_what_is_measured_follows_the_content_of_a_model(tmp_path):
    folder = tmp_path / "model"
    tiny_model(folder)
    settings = load_settings(None, None, [f"eval.candidates=[{folder}]"], {})
    (declared,) = candidate_stages(settings)
    before = declared.external(settings)["candidates"](tmp_path)
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "ask: "}}')
    assert declared.external(settings)["candidates"](tmp_path) != before


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("eval.candidates=['https://user:pw@host/v1']", "no user name, password or query"),  # pragma: allowlist secret
        ("eval.candidates=['https://host/v1?key=1']", "no user name, password or query"),
        ("eval.candidates=['https:///v1']", "no user name, password or query"),
        ("eval.candidates=[' ']", "a hub id, a folder or an address"),
        ("eval.candidates=['file:///etc/passwd']", "begins with http:// or https://"),
        ("eval.candidates=['ftp://host/model']", "begins with http:// or https://"),
        ("eval.candidates=['../../etc/passwd']", "is no candidate"),
        ("eval.candidates=['/etc/passwd']", "is no candidate"),
        ("eval.candidates=['./not there']", "is no candidate"),
        ("eval.candidates=[a/b/c]", "is no candidate"),
        ("eval.candidates=['package:../x']", "is no candidate"),
        ("eval.candidates=[a/b, a/b]", "named twice"),
        ("eval.candidates_key_env=HOME", "ends in _API_KEY"),
    ],
)
def test_odd_candidates_are_refused(value, said):
    with pytest.raises(SettingsError, match=said):
        load_settings(None, None, [value], {})


def test_a_run_of_the_launchpad_chooses_neither_endpoints_nor_the_key():
    for override in ("eval.candidates=[a/b]", "eval.candidates_key_env=OTHER_API_KEY"):
        with pytest.raises(SettingsError, match="cannot be changed for one run"):
            refuse_protected(load_settings(None, None, (), {}), [override])


def test_folders_are_found_from_where_the_settings_lie(tmp_path, monkeypatch):
    (tmp_path / "model").mkdir()
    file = tmp_path / "pipeline.yaml"
    file.write_text("eval:\n  candidates: [./model, a/b, https://host/v1]\n")
    wanted = (str(tmp_path / "model"), "a/b", "https://host/v1")
    assert load_settings(file).eval.candidates == wanted
    monkeypatch.chdir(tmp_path)
    override = "eval.candidates=[./model, a/b, https://host/v1]"
    given = absolute_overrides([override], {})
    monkeypatch.chdir(tmp_path.parent)
    assert load_settings(None, None, given, {}).eval.candidates == wanted


def test_speed_is_that_of_texts_encoded_anew():
    from embed_pipeline.evaluation.candidates import TIMED, WARM_UP, passages_per_second

    asked = []

    class Counting:
        spec = WordEncoder.spec

        def encode(self, texts, role):
            asked.append(len(texts))
            return np.zeros((len(texts), 512), np.float32)

    assert passages_per_second(Counting(), [str(one) for one in range(1000)]) > 0
    assert asked == [WARM_UP, TIMED]
