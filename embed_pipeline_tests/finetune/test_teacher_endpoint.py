"""An endpoint as teacher, on a real socket: asked once for each text, its vectors kept, its tokens booked."""

import json

import numpy as np
import pytest

from embed_pipeline.encoders.openai_encoder import PROBE
from embed_pipeline.errors import InputError, SettingsError
from embed_pipeline.finetune import teacher_endpoint
from embed_pipeline.finetune.teacher import load_teacher, teacher_version
from embed_pipeline.finetune.teacher_endpoint import EndpointTeacher, spending
from embed_pipeline.finetune.train import finetune
from embed_pipeline.progress import LogReporter, reporting
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline.settings.protected import refuse_protected
from embed_pipeline.settings.sources import load_settings
from embed_pipeline_tests.embeddings_server import TOKENS, embeddings_server
from embed_pipeline_tests.evaluation.helpers import WordEncoder
from embed_pipeline_tests.finetune.build import rows, tiny_model
from embed_pipeline_tests.finetune.test_distillation import SMALL

KEY = "EMBEDDINGS_API_KEY"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv(KEY, "key-of-a-test")
    with embeddings_server() as found:
        yield found


def test_it_is_asked_once_for_each_text_and_never_again(tmp_path, server):
    made, address = rows(5), f"{server.url}#words"
    settings = SMALL.model_copy(update={"teacher": address})
    lines: list[str] = []
    with reporting(LogReporter(lines.append)):
        teacher = load_teacher(made, tiny_model(tmp_path), settings, tmp_path / "work", "cpu", tmp_path / "cache")
    texts = [row.positive for row in made]
    scores, known = teacher.scores([3, 1], texts, [[0], [1]])
    questions = WordEncoder().encode([made[3].question, made[1].question], "query")
    np.testing.assert_allclose(scores, questions @ WordEncoder().encode(texts, "passage").T / 0.1, atol=1e-4)
    assert known.all()
    assert sorted(server.texts) == sorted([PROBE, *texts, *(row.question for row in made)])
    assert {key for _, key in server.asked} == {"Bearer key-of-a-test"}
    host = server.url.removeprefix("http://").removesuffix("/v1")
    assert f"passages and questions are sent to {host} (finetune.teacher)" in "\n".join(lines)
    assert "key-of-a-test" not in "\n".join(lines) + "".join(map(str, tmp_path.rglob("*.json")))

    sent = len(server.asked)
    load_teacher(made, tiny_model(tmp_path), settings, tmp_path / "work", "cpu", tmp_path / "cache")
    assert len(server.asked) == sent
    load_teacher(made, tiny_model(tmp_path), settings, tmp_path / "later", "cpu", tmp_path / "cache")
    assert len(server.asked) == sent + 1, "another training asks for the length of the vectors alone"


@pytest.mark.parametrize("counts", [True, False])
def test_what_it_costs_is_booked_under_the_training(tmp_path, server, counts):
    server.counts = counts
    teacher = EndpointTeacher(server.url, KEY, tmp_path / "cache", tmp_path / "work")  # the only model it serves
    teacher.encode([f"text number {place}" for place in range(70)], "passage")
    found = spending(tmp_path / "cache", tmp_path / "work", server.url)
    assert found["requests"] == len(server.asked) == 3
    sent = sum(len(text) for text in server.texts)
    assert found["prompt_tokens"] == (TOKENS * 71 if counts else pytest.approx(sent / 3, abs=3))
    assert found["estimated"] == (0 if counts else 3)
    assert found["completion_tokens"] == 0
    assert spending(tmp_path / "cache", tmp_path / "other", server.url) == {}


def test_the_price_is_told_where_it_is_known(tmp_path, server, monkeypatch):
    EndpointTeacher(f"{server.url}#words", KEY, tmp_path / "cache", tmp_path / "work").encode(["a text"], "query")
    assert "usd" not in spending(tmp_path / "cache", tmp_path / "work", server.url)
    from embed_pipeline.llm.prices import Price

    monkeypatch.setattr(teacher_endpoint, "known_price", lambda model, url: Price(2.0, 0.0))
    usd = spending(tmp_path / "cache", tmp_path / "work", server.url)["usd"]
    assert usd == pytest.approx(2 * TOKENS * 2.0 / 1e6)


def test_what_was_answered_before_a_failure_is_not_asked_again(tmp_path, server, monkeypatch):
    monkeypatch.setattr(teacher_endpoint, "KEPT_AT_ONCE", 64)
    texts = [f"text number {place}" for place in range(200)]
    server.refused_after = 3
    with pytest.raises(InputError, match=r"127\.0\.0\.1.*answered 400"):
        EndpointTeacher(f"{server.url}#words", KEY, tmp_path / "cache", tmp_path / "work").encode(texts, "passage")
    server.refused_after = None
    again = EndpointTeacher(f"{server.url}#words", KEY, tmp_path / "cache", tmp_path / "work")
    vectors = again.encode(texts, "passage")
    np.testing.assert_allclose(vectors, WordEncoder().encode(texts, "passage"), atol=1e-6)
    assert len(server.texts) == len(set(server.texts)) == 201
    assert spending(tmp_path / "cache", tmp_path / "work", server.url)["requests"] == 5


def test_a_training_learns_from_it_in_one_process_and_in_two(tmp_path, server, monkeypatch):
    from pathlib import Path

    import embed_pipeline

    monkeypatch.setenv("PYTHONPATH", str(Path(embed_pipeline.__file__).parents[1]))
    spec = tiny_model(tmp_path / "base")
    for processes, epochs in ((1, 3), (2, 1)):
        chosen = SMALL.model_copy(update={"teacher": server.url, "epochs": epochs, "processes": processes})
        place = tmp_path / str(processes)
        report = finetune(rows(32), None, spec, chosen, place / "out", place / "work", "cpu", None, tmp_path / "cache")
        losses = [loss for _, loss in report.losses]
        assert np.isfinite(losses).all()
        assert processes > 1 or np.mean(losses[-3:]) < np.mean(losses[:3])
    assert len(server.texts) == 2 + len({row.positive for row in rows(32)}) + 32


def test_it_counts_by_its_address():
    first, second = (FinetuneSettings(teacher=f"https://host/v1#{name}", distillation_weight=1) for name in "ab")
    assert teacher_version(first) != teacher_version(second)
    assert "host" not in str(teacher_version(first))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("finetune.teacher='https://user:pw@host/v1'", "no user name, password or query"),  # pragma: allowlist secret
        ("finetune.teacher='https://host/v1?key=1'", "no user name, password or query"),
        ("finetune.teacher='https:///v1'", "holds a host"),
        ("finetune.teacher_key_env=HOME", "ends in _API_KEY"),
    ],
)
def test_odd_addresses_and_keys_are_refused(value, said):
    with pytest.raises(SettingsError, match=said):
        load_settings(None, None, [value], {})


def test_a_run_of_the_launchpad_chooses_neither_the_endpoint_nor_the_key():
    for override in ("finetune.teacher='https://evil.example/v1'", "finetune.teacher_key_env=OTHER_API_KEY"):
        with pytest.raises(SettingsError, match="cannot be changed for one run") as refused:
            refuse_protected(load_settings(None, None, (), {}), [override])
        assert "evil.example" not in str(refused.value)


def test_a_folder_named_hybrid_does_not_stand_for_the_hybrid(tmp_path):
    (tmp_path / "hybrid").mkdir()
    file = tmp_path / "pipeline.yaml"
    file.write_text(json.dumps({"finetune": {"teacher": "hybrid"}}))
    assert load_settings(file).finetune.teacher == "hybrid"
    file.write_text(json.dumps({"finetune": {"teacher": "./hybrid"}}))
    assert load_settings(file).finetune.teacher == str(tmp_path / "hybrid")
