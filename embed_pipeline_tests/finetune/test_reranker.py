"""Training a reranker on a tiny model: it learns, resumes exactly, stops when it must, and writes the same bytes."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder

from embed_pipeline.encoders.cross_encoder import CrossEncoderModel
from embed_pipeline.errors import ModelAccessError, SettingsError, TrainingError
from embed_pipeline.files import hash_tree
from embed_pipeline.finetune.checkpoints import VALIDATION_KEY, Checkpoints
from embed_pipeline.finetune.reranker import RerankerReport, _kept, train_reranker
from embed_pipeline.finetune.reranker_model import max_length, reranker_base
from embed_pipeline.finetune.reranker_pairs import VALIDATION_DEPTH, FirstStage, first_stage, ranked_lists
from embed_pipeline.finetune.reranker_trainer import ALONE_KEY, WEIGHT_KEY, learning_rate
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.records import RetrievalSet, TrainingRow
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import NOUNS, retrieval_set, rows, tiny_cross_encoder, tiny_model

SETTINGS = FinetuneSettings(
    reranker_epochs=4, reranker_batch_size=4, reranker_learning_rate=5e-3, reranker_negatives=2, reranker_max_length=32
)
COUNT = 40  # 40 questions, 40 steps; validation after 13, 27 and 40


def telling(count: int) -> list[TrainingRow]:
    """Rows whose positives have a word that negatives lack, which is what there is to learn."""
    return [replace(row, positive=f"{row.positive} answered", negatives=list(row.negatives)) for row in rows(count)]


def found_badly(count: int) -> FirstStage:
    """Validation in which the first search puts the answer last of five."""
    plain = retrieval_set(count)
    answers = {f"a{index}": f"{text} answered" for index, text in enumerate(plain.passages.values())}
    held = replace(
        plain, passages={**plain.passages, **answers}, qrels={f"v{index}": {f"a{index}": 1} for index in range(count)}
    )
    found = {
        f"v{index}": {f"p{(index + place) % count}": 1.0 - place / 10 for place in range(4)} | {f"a{index}": 0.1}
        for index in range(count)
    }
    return first_stage(held, found, 42)


def trained(folder: Path, settings: FinetuneSettings = SETTINGS, rows_given=None, validation=None) -> RerankerReport:
    base = folder.parent / "base"
    if not base.exists():
        tiny_model(base)
    checked = found_badly(COUNT) if validation is None else validation
    return train_reranker(rows_given or telling(COUNT), checked, base, settings, folder / "out", folder / "work", "cpu")


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> tuple[RerankerReport, Path]:
    """An uninterrupted training from the backbone of the bi-encoder."""
    folder = tmp_path_factory.mktemp("reranker") / "one"
    return trained(folder), folder


def test_it_learns_and_the_best_checkpoint_is_kept(once):
    report, folder = once
    assert (report.questions, report.pairs, report.steps, report.max_length) == (40, 80, 40, 32)
    assert [step for step, _ in report.validations] == [0, 13, 27, 40]
    losses = [entry["loss"] for entry in report.log]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    measured = dict(report.validations)
    assert report.first_stage_validation == measured.pop(0) == pytest.approx(1 / np.log2(6), abs=1e-6)
    assert report.best_validation == max(measured.values()) == measured[report.best_step]
    assert report.best_validation > report.first_stage_validation
    log = json.loads((folder / "out" / "reranker_log.json").read_text("utf-8"))
    assert log["validations"][0] == {"step": 0, "ndcg@10": report.first_stage_validation}
    assert [entry["step"] for entry in log["log"]] == list(range(1, 41))


def test_the_output_is_an_open_folder_that_loads_everywhere_alike(once):
    _, folder = once
    out = folder / "out"
    pairs = [(f"tell me about {NOUNS[3]} 3", f"{NOUNS[3]} 3 stone"), ("where is the lion", "paper " * 80)]
    theirs = CrossEncoder(str(out), device="cpu")
    assert theirs.max_seq_length == 32
    ours = CrossEncoderModel.load(str(out), "cpu").scores(pairs)
    probabilities = theirs.predict(pairs)  # a probability
    np.testing.assert_allclose(1 / (1 + np.exp(-ours)), probabilities, atol=1e-5)
    assert {"model.safetensors", "tokenizer.json", "config.json", "README.md"} <= {path.name for path in out.iterdir()}
    assert not any(path.suffix in {".bin", ".pt", ".pkl", ".pth"} for path in out.rglob("*"))
    card = ModelCard.load(out / "README.md")
    assert (card.data.pipeline_tag, card.data.library_name) == ("text-ranking", "sentence-transformers")
    assert "cut at 32 tokens" in card.text
    assert str(folder) not in card.text


def test_same_inputs_same_bytes_and_nothing_is_printed(once, tmp_path, capfd):
    trained(tmp_path / "two")
    assert hash_tree(tmp_path / "two" / "out") == hash_tree(once[1] / "out")
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


def test_killed_and_started_again_gives_the_same_bytes(once, tmp_path):
    code = f"""
import os, signal
from pathlib import Path
from embed_pipeline.finetune.checkpoints import Checkpoints
from embed_pipeline_tests.finetune.test_reranker import trained

sealed = Checkpoints.seal
def seal(self, step):
    sealed(self, step)
    if step == 27:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoints.seal = seal
trained(Path({str(tmp_path / "killed")!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280)
    assert done.returncode == -signal.SIGKILL, done.stderr
    work = tmp_path / "killed" / "work" / "checkpoints"
    assert {"checkpoint-13", "checkpoint-27"} == {path.name for path in work.iterdir()}
    report = trained(tmp_path / "killed")
    assert [entry["step"] for entry in report.log] == list(range(1, 41))
    assert hash_tree(tmp_path / "killed" / "out") == hash_tree(once[1] / "out")


def test_what_is_done_is_not_trained_again(once, monkeypatch):
    monkeypatch.setattr(Checkpoints, "seal", lambda *_: pytest.fail("a step was trained"))
    report, folder = once
    before = hash_tree(folder / "out")
    assert trained(folder) == report
    assert hash_tree(folder / "out") == before


def test_a_cross_encoder_keeps_its_head(tmp_path):
    name = tiny_cross_encoder(tmp_path / "cross")
    settings = SETTINGS.model_copy(update={"reranker_model": name, "reranker_max_steps": 1, "reranker_epochs": 1})
    settings = settings.model_copy(update={"reranker_learning_rate": 1e-12, "weight_decay": 0.0})
    report = trained(tmp_path / "run", settings)
    assert (report.steps, report.best_step) == (1, 1)
    pairs = [("where is the lion", "lion river engine"), ("where is the clock", "paper violin")]
    before, after = (CrossEncoderModel.load(str(one), "cpu").scores(pairs) for one in (name, tmp_path / "run" / "out"))
    np.testing.assert_allclose(after, before, atol=1e-6)


def test_without_validation_the_last_checkpoint_is_kept(tmp_path):
    nothing = FirstStage({}, {}, {}, {})
    report = trained(tmp_path / "run", SETTINGS.model_copy(update={"reranker_max_steps": 3}), validation=nothing)
    assert (report.best_step, report.first_stage_validation, report.best_validation) == (3, None, None)
    assert (report.alone, report.weight) == (None, None)


def test_a_reranker_that_orders_worse_than_the_search_is_told(tmp_path):
    names = [f"p{index}" for index in range(COUNT)]
    found = {
        f"v{index}": {names[(index + place) % COUNT]: 1.0 - place / 10 for place in range(5)} for index in range(COUNT)
    }
    lines: list[str] = []
    with reporting(LogReporter(lines.append)):
        trained(
            tmp_path / "run",
            SETTINGS.model_copy(update={"reranker_max_steps": 1}),
            validation=first_stage(retrieval_set(COUNT), found, 1),
        )
    assert any("worse than the search before it" in line for line in lines)
    log = json.loads((tmp_path / "run" / "out" / "reranker_log.json").read_text("utf-8"))
    assert log["weight"] == 0
    assert log["alone"] < log["best_validation"] == log["first_stage_validation"] == 1.0
    assert "keep the search" in (tmp_path / "run" / "out" / "README.md").read_text("utf-8")


@given(st.integers(0, 1000), st.integers(1, 6), st.booleans())
def test_a_blend_is_never_worse_on_validation_than_the_search_or_the_reranker(seed, size, alike):
    random = np.random.default_rng(seed)
    queries = {f"q{number}": f"question {number}" for number in range(5)}
    passages = {query: [(f"p{place}", f"text {place}") for place in range(size)] for query in queries}
    searched = {query: sorted(random.random(size).tolist(), reverse=True) for query in queries}
    held = FirstStage(queries, passages, {query: {f"p{random.integers(size)}": 1} for query in queries}, searched)
    scores = np.zeros(5 * size) if alike else random.standard_normal(5 * size)
    found = held.measured(lambda pairs: scores)
    assert found.blended >= max(found.alone, held.ndcg())
    assert (found.weight == 0) == (found.blended == held.ndcg())


def test_of_equal_blends_the_better_reranker_is_kept():
    entries = [(0, 0.9, None, None), (13, 0.9, 0.2, 0.0), (27, 0.9, 0.4, 0.0), (40, 0.9, 0.3, 0.0)]
    history = [
        {"step": step, VALIDATION_KEY: blend} | ({} if weight is None else {ALONE_KEY: alone, WEIGHT_KEY: weight})
        for step, blend, alone, weight in entries
    ]
    assert _kept(history)["step"] == 27
    assert _kept([*history, {"step": 50, VALIDATION_KEY: 0.95, ALONE_KEY: 0.1, WEIGHT_KEY: 0.1}])["step"] == 50
    assert _kept(history[:1]) == {}


def test_two_halves_are_better_blended():
    """The search and the reranker each put another wrong passage first, and agree on the second."""
    held = FirstStage(
        {"q": "question"}, {"q": [("a", "a"), ("b", "b"), ("c", "c")]}, {"q": {"b": 1}}, {"q": [1.0, 0.9, 0.0]}
    )
    found = held.measured(lambda pairs: np.array([0.0, 0.9, 1.0]))
    assert (found.alone, found.blended) == (held.ndcg(), 1.0)
    assert 0 < found.weight < 1


def test_a_question_stands_once_and_what_answers_it_is_never_its_negative():
    one, two, alone = rows(3)
    other = replace(one, positive_id="p9", positive="also an answer", negatives=["also an answer", one.negatives[0]])
    lists = ranked_lists([one, other, two, replace(alone, negatives=[])], SETTINGS)
    assert lists.questions == [one.question, two.question]
    assert lists.passages[0] == [one.positive, "also an answer", *one.negatives]
    assert lists.labels == [[1, 1, 0], [1, 0]]
    assert lists.pairs == 5
    assert ranked_lists([one, two], SETTINGS.model_copy(update={"training_share": 0.5})).pairs == 2
    many = replace(one, negatives=["a", "b", "c"])
    assert ranked_lists([many], SETTINGS).passages == [[one.positive, "a", "b"]]


def test_validation_takes_what_the_search_found():
    passages = {f"p{index:03}": f"text {index}" for index in range(60)}
    queries = {f"q{index:03}": f"question {index}" for index in range(150)}
    held = RetrievalSet("validation", passages, queries, {query: {"p030": 1} for query in queries})
    found = {query: dict.fromkeys(passages, 0.5) for query in list(queries)[:-1]}
    chosen = first_stage(held, found, 1)
    assert len(chosen.queries) == 100
    assert {len(names) for names in chosen.passages.values()} <= {0, VALIDATION_DEPTH}
    assert chosen == first_stage(held, found, 1) != first_stage(held, found, 2)
    assert chosen.ndcg() == 0.0


@pytest.mark.parametrize("nothing", [[], [replace(row, negatives=[]) for row in rows(3)]])
def test_nothing_to_train_on_is_refused(nothing, tmp_path):
    base = tiny_model(tmp_path / "base")
    with pytest.raises(TrainingError, match=r"no training rows|prep\.hard_negatives to 1 or more"):
        train_reranker(nothing, None, Path(base.model), SETTINGS, tmp_path / "out", tmp_path / "work", "cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "there is no such folder"),
        ({}, "holds no config.json"),
        ({"model_type": "llama", "architectures": ["LlamaModel"]}, "is a decoder"),
    ],
)
def test_a_model_that_cannot_become_a_reranker_is_refused(files, words, tmp_path):
    folder = tmp_path / "model"
    if files is not None:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"")
        if files:
            (folder / "config.json").write_text(json.dumps(files))
    settings = SETTINGS.model_copy(update={"reranker_model": str(folder)})
    with pytest.raises(ModelAccessError, match=words) as refused:
        trained(tmp_path / "run", settings)
    assert "finetune.reranker_model" in str(refused.value)
    assert not (tmp_path / "run" / "out").exists()


def test_a_cross_encoder_with_more_outputs_is_refused(tmp_path):
    name = tiny_cross_encoder(tmp_path / "three", labels=3)
    with pytest.raises(ModelAccessError, match="has 3 outputs"):
        trained(tmp_path / "run", SETTINGS.model_copy(update={"reranker_model": name}))


def test_how_long_a_pair_may_be(tmp_path):
    base = Path(tiny_model(tmp_path / "base").model)
    assert max_length(base, FinetuneSettings(max_query_length=10, max_passage_length=20)) == 30
    assert max_length(base, FinetuneSettings()) == 64
    assert max_length(base, FinetuneSettings(reranker_max_length=64)) == 64
    with pytest.raises(SettingsError, match="reranker_max_length is 65, but base takes at most 64"):
        max_length(base, FinetuneSettings(reranker_max_length=65))
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(config | {"model_type": "xlm-roberta"}))
    assert max_length(base, FinetuneSettings()) == 62
    assert reranker_base(base, FinetuneSettings()) == base


def test_a_new_head_learns_faster_than_one_that_is_trained(tmp_path):
    base, cross = Path(tiny_model(tmp_path / "base").model), Path(tiny_cross_encoder(tmp_path / "cross"))
    assert [learning_rate(one, FinetuneSettings()) for one in (base, cross)] == [3e-4, 5e-5]
    assert {learning_rate(one, FinetuneSettings(reranker_learning_rate=1e-5)) for one in (base, cross)} == {1e-5}
    report = trained(tmp_path / "run", SETTINGS.model_copy(update={"reranker_learning_rate": None}))
    assert max(entry["learning_rate"] for entry in report.log) == pytest.approx(3e-4)


def test_a_loss_that_is_no_number_stops_it(tmp_path):
    with pytest.raises(TrainingError, match="reranker_learning_rate"):
        trained(tmp_path / "run", SETTINGS.model_copy(update={"reranker_learning_rate": 1e30, "max_grad_norm": 1e30}))
    assert not (tmp_path / "run" / "out").exists()
