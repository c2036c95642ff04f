"""A teacher beside a contrastive objective: the loss, what each kind of teacher knows, and what a student learns."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from embed_pipeline.encoders.torch_encoder import TorchEncoder, load_sentence_transformer
from embed_pipeline.errors import SettingsError
from embed_pipeline.files import hash_tree
from embed_pipeline.finetune.collate import Collator
from embed_pipeline.finetune.lexical import LexicalScores
from embed_pipeline.finetune.losses import build_loss
from embed_pipeline.finetune.objectives import check_objective
from embed_pipeline.finetune.teacher import HybridTeacher, PairTeacher, VectorTeacher, load_teacher, teacher_version
from embed_pipeline.finetune.train import finetune
from embed_pipeline.progress import reporting
from embed_pipeline.retrieval.bm25 import Bm25Index
from embed_pipeline.retrieval.fusion import convex
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import retrieval_set, rows, tiny_cross_encoder, tiny_model
from embed_pipeline_tests.finetune.share import columns_of
from embed_pipeline_tests.finetune.test_batches import training_rows
from embed_pipeline_tests.finetune.test_lexical import gradients
from embed_pipeline_tests.finetune.test_train import Interrupted, Interrupter, Listener

SETTINGS = FinetuneSettings(hard_negatives=1, temperature=0.05, distillation_weight=0.3, teacher="hybrid")
SMALL = FinetuneSettings(
    epochs=2, batch_size=8, learning_rate=3e-3, warmup_steps=1, temperature=0.1, hard_negatives=1,
    max_query_length=16, max_passage_length=32, distillation_weight=0.5, teacher="hybrid",
)  # fmt: skip
PAIRS = PairTeacher([[2.0, -1.0], [1.0, 0.5], [3.0, 0.0], [0.5, 1.5], [1.0, 1.0], [2.0, 2.0]])


def random_vectors(count, seed, width=6):
    found = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def vector_teacher(made, negatives=1, temperature=0.05):
    texts = list(dict.fromkeys(text for row in made for text in (row.positive, *row.negatives[:negatives])))
    questions, passages = random_vectors(len(made), 1), random_vectors(len(texts), 2)
    return VectorTeacher(questions, texts, passages, temperature), questions, dict(zip(texts, passages, strict=True))


def hybrid_of(made, temperature=1.0):
    _, questions, passages = vector_teacher(made, 2)
    texts, vectors = list(passages), np.array(list(passages.values()))
    return (
        HybridTeacher(made, LexicalScores(made, 2), questions, texts, vectors, temperature),
        questions,
        texts,
        vectors,
    )


@pytest.mark.parametrize("share", [0.0, 0.3])
@pytest.mark.parametrize("kind", ["in_batch", "group"])
@pytest.mark.parametrize("knows", ["all", "own"])
def test_loss_and_gradients_are_those_of_the_formula(tmp_path, kind, knows, share):
    spec = tiny_model(tmp_path)
    model = load_sentence_transformer(spec, "cpu").eval()
    settings = SETTINGS.model_copy(update={"objective": kind, "lexical_share": share})
    teacher = PAIRS if knows == "own" else vector_teacher(rows(6))[0]
    batch = Collator(rows(6), model.preprocess, spec, settings, teacher)([{"row": row} for row in range(4)])
    columns, labels = columns_of(batch), batch["label"]
    labels["left_out"][0, 2] = labels["left_out"][3, 1] = True
    queries, passages = (model(dict(column))["sentence_embedding"] for column in columns)
    similarity = queries @ passages.T
    if share:
        similarity = 0.7 * similarity + 0.3 * labels["lexical"]
    losses = []
    for row in range(4):
        met = [column for column in range(similarity.shape[1]) if not labels["left_out"][row, column]]
        if kind == "group":
            met = [column for column in met if labels["own"][row, column]]
        student = (similarity[row] / 0.05)[met].log_softmax(0)
        known = [column for column in met if knows == "all" or labels["own"][row, column]]
        narrow = (similarity[row] / 0.05)[known].log_softmax(0)
        wanted = labels["teacher"][row][known].softmax(0)
        taught = torch.nn.functional.kl_div(narrow, wanted, reduction="sum")
        losses.append(-0.7 * student[met.index(row)] + 0.3 * taught)
    expected = torch.stack(losses).mean()
    wanted_gradients = gradients(model, expected)
    for way in ({"grad_cache": "off"}, {"grad_cache": "on", "mini_batch_size": 3}):
        loss = build_loss(model, spec, settings.model_copy(update=way), 4)([dict(one) for one in columns], labels)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
        torch.testing.assert_close(gradients(model, loss), wanted_gradients, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("knows", ["all", "own"])
def test_a_student_that_ranks_like_its_teacher_has_nothing_to_learn_from_it(tmp_path, knows):
    spec = tiny_model(tmp_path)
    model = load_sentence_transformer(spec, "cpu").eval()
    settings = SETTINGS.model_copy(update={"distillation_weight": 1.0})
    teacher = PAIRS if knows == "own" else vector_teacher(rows(6))[0]
    batch = Collator(rows(6), model.preprocess, spec, settings, teacher)([{"row": row} for row in range(4)])
    columns, labels = columns_of(batch), batch["label"]
    queries, passages = (model(dict(column))["sentence_embedding"] for column in columns)
    labels["teacher"] = (queries @ passages.T / 0.05).detach() + 3.0  # a constant changes no ranking
    loss = build_loss(model, spec, settings, 4)([dict(one) for one in columns], labels)
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert gradients(model, loss).abs().max().item() < 1e-3


@given(training_rows(), st.data())
def test_vectors_score_every_pair_and_a_batch_changes_no_score(made, data):
    teacher, questions, passages = vector_teacher(made, 2)
    chosen = data.draw(st.lists(st.sampled_from(range(len(made))), min_size=1, max_size=5, unique=True))
    texts = data.draw(st.lists(st.sampled_from(list(passages)), min_size=1))
    scores, known = teacher.scores(chosen, texts, [[0]] * len(chosen))
    assert known.all()
    expected = [[questions[row] @ passages[text] / 0.05 for text in texts] for row in chosen]
    np.testing.assert_allclose(scores, expected, atol=1e-4)


@given(training_rows())
def test_the_hybrid_ranks_as_the_fusion_does(made):
    teacher, questions, texts, vectors = hybrid_of(made)
    scores, known = teacher.scores(range(len(made)), texts, [[0]] * len(made))
    assert known.all()
    names = {place: f"{place:04}" for place in range(len(texts))}
    found = Bm25Index(texts).top_k([row.question for row in made], len(texts))
    sparse = {str(row): {names[place]: score for place, score in best} for row, best in enumerate(found)}
    cosines = questions @ vectors.T
    dense = {str(row): {names[place]: float(one) for place, one in enumerate(cosines[row])} for row in range(len(made))}
    fused = convex(sparse, dense, len(texts))
    expected = [[fused[str(row)][names[place]] for place in range(len(texts))] for row in range(len(made))]
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    part, _ = teacher.scores([0], texts[:1], [[0]])
    assert part[0, 0] == pytest.approx(scores[0, 0], abs=1e-5)


def test_beyond_the_hundred_best_the_hybrid_goes_on_below(monkeypatch):
    monkeypatch.setattr("embed_pipeline.finetune.teacher.DEPTH", 3)
    teacher, questions, texts, vectors = hybrid_of(rows(12))
    scores, _ = teacher.scores([0], texts, [[0]])
    cosines = questions[0] @ vectors.T
    third, best = np.sort(cosines)[[-3, -1]]
    lexical = LexicalScores(rows(12), 2).of([rows(12)[0].question], texts)[0]
    np.testing.assert_allclose(scores[0], 0.5 * (cosines - third) / (best - third) + 0.5 * lexical, atol=1e-4)
    assert scores[0].min() < 0


def test_an_embedding_model_is_read_once_and_knows_every_passage(tmp_path):
    spec = tiny_model(tmp_path / "teacher")
    made, settings = rows(5), SMALL.model_copy(update={"teacher": spec.model})
    teacher = load_teacher(made, spec, settings, tmp_path / "work", "cpu")
    texts = [row.positive for row in made]
    scores, known = teacher.scores([3, 1], texts, [[0], [1]])
    assert known.all()
    encoder = TorchEncoder.load(spec, "cpu")
    questions = encoder.encode([made[3].question, made[1].question], "query")
    np.testing.assert_allclose(scores, questions @ encoder.encode(texts, "passage").T / 0.1, atol=1e-4)

    def refuse(*_):
        raise AssertionError("what was computed is not computed again")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchEncoder, "load", refuse)
        again, _ = load_teacher(made, spec, settings, tmp_path / "work", "cpu").scores([3, 1], texts, [[0], [1]])
    assert again.tolist() == scores.tolist()


def test_a_cross_encoder_knows_own_passages_and_needs_some(tmp_path):
    name = tiny_cross_encoder(tmp_path / "teacher")
    settings = SMALL.model_copy(update={"teacher": name})
    teacher = load_teacher(rows(3), tiny_model(tmp_path / "base"), settings, tmp_path / "work", "cpu")
    _, known = teacher.scores([0], [row.positive for row in rows(3)], [[0, 1]])
    assert known.tolist() == [[True, True, False]]
    assert teacher_version(settings) is not None
    with pytest.raises(SettingsError, match=r"is a cross-encoder.*finetune\.hard_negatives is 0"):
        teacher_version(settings.model_copy(update={"hard_negatives": 0}))


@pytest.mark.parametrize("objective", ["kl", "margin_mse"])
def test_the_hybrid_also_teaches_objectives_that_learn_from_a_teacher_alone(tmp_path, objective):
    spec = tiny_model(tmp_path / "base")
    settings = SMALL.model_copy(update={"objective": objective, "distillation_weight": 0.0, "epochs": 3})
    report = finetune(rows(32), None, spec, settings, tmp_path / "out", tmp_path / "work", "cpu")
    losses = [loss for _, loss in report.losses]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"distillation_weight": 0.5}, "distillation_weight is set, but finetune.teacher names no model"),
        ({"distillation_weight": 0.5, "objective": "kl", "teacher": "m"}, "but finetune.objective is kl, which has no"),
        ({"teacher": "m"}, "in_batch and group with finetune.distillation_weight above 0"),
    ],
)
def test_what_does_not_fit_together_is_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        check_objective(FinetuneSettings.model_validate(values))


def test_the_hybrid_teaches_without_negatives_and_goes_on_after_a_kill_to_the_same_bytes(tmp_path):
    spec = tiny_model(tmp_path / "base")
    settings = SMALL.model_copy(update={"hard_negatives": 0})

    def train(name, reporter, chosen=settings):
        folder = tmp_path / name
        with reporting(reporter):
            report = finetune(rows(40), retrieval_set(40), spec, chosen, folder / "out", folder / "work", "cpu")
        return report, hash_tree(folder / "out")

    report, whole = train("whole", Listener())
    losses = [loss for _, loss in report.losses]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    with pytest.raises(Interrupted):
        train("again", Interrupter([7]))
    assert train("again", Listener())[1] == whole
    other, weights = train("again", Listener(), settings.model_copy(update={"distillation_weight": 0.9}))
    assert other.losses[0] != report.losses[0]
    assert weights["model.safetensors"] != whole["model.safetensors"]
