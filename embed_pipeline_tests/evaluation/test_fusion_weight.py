"""The weight of the fusion is what serves the development questions best, if there are enough of them."""

from hypothesis import given, settings
from hypothesis import strategies as st

from embed_pipeline.evaluation.fusion_weight import LEAST_QUESTIONS, WEIGHTS, FusionWeight, choose_weight, fusion_with
from embed_pipeline.evaluation.metrics import score_run
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import Run, convex
from embed_pipeline.settings import EvalSettings
from embed_pipeline_tests.evaluation.helpers import WordEncoder, numbered_set

SETTINGS = EvalSettings(resamples=500)


def judged(count: int) -> RetrievalSet:
    ids = [str(number) for number in range(count)]
    passages = {f"{kind}{one}": one for one in ids for kind in ("right", "wrong")}
    return RetrievalSet("gold", passages, dict.fromkeys(ids, "q"), {one: {f"right{one}": 1} for one in ids})


def finding(right: float, wrong: float, count: int) -> Run:
    return {str(one): {f"right{one}": right, f"wrong{one}": wrong, "other": 0.01} for one in range(count)}


def test_a_much_better_side_gets_more_weight() -> None:
    development = judged(40)
    good, bad = finding(1.0, 0.5, 40), finding(0.2, 1.0, 40)
    towards_dense = choose_weight(development, bad, good, 10, SETTINGS)
    assert towards_dense.weight > 0.5
    assert towards_dense.chosen_on == "gold"
    assert choose_weight(development, good, bad, 10, SETTINGS).weight < 0.5


def test_few_questions_choose_nothing() -> None:
    few = LEAST_QUESTIONS - 1
    good, bad = finding(1.0, 0.5, few), finding(0.2, 1.0, few)
    assert choose_weight(judged(few), bad, good, 10, SETTINGS) == FusionWeight()


def test_of_equal_weights_the_half_is_taken() -> None:
    alike = finding(1.0, 0.5, 40)
    assert choose_weight(judged(40), alike, alike, 10, SETTINGS) == FusionWeight(0.5, "gold")


def test_an_encoder_is_asked_only_where_enough_questions_may_choose() -> None:
    asked = numbered_set(40)
    topics = [f"topic{one}" for one in range(40)]
    sees, blind = WordEncoder(), WordEncoder(blind=topics)
    assert fusion_with(asked, blind, SETTINGS).weight < 0.5 == fusion_with(asked, sees, SETTINGS).weight
    found_nothing: Run = {query: {} for query in asked.queries}
    assert fusion_with(asked, sees, SETTINGS, found_nothing).chosen_on == "synthetic"
    nobody: WordEncoder = object()  # type: ignore[assignment]
    assert fusion_with(None, nobody, SETTINGS) == fusion_with(numbered_set(29), nobody, SETTINGS) == FusionWeight()


SCORES = st.floats(0.01, 1, allow_subnormal=False)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(SCORES, SCORES, SCORES, SCORES), min_size=LEAST_QUESTIONS, max_size=LEAST_QUESTIONS))
def test_no_weight_serves_the_development_questions_much_better(
    scores: list[tuple[float, float, float, float]],
) -> None:
    development = judged(len(scores))
    sparse = {str(one): {f"right{one}": row[0], f"wrong{one}": row[1]} for one, row in enumerate(scores)}
    dense = {str(one): {f"right{one}": row[2], f"wrong{one}": row[3]} for one, row in enumerate(scores)}
    chosen = choose_weight(development, sparse, dense, 10, SETTINGS).weight
    scored = {weight: score_run(development, convex(sparse, dense, 10, weight), (10,)) for weight in WEIGHTS}
    served = {weight: one.column("ndcg@10") for weight, one in scored.items()}
    best = max(served, key=lambda weight: served[weight].mean())
    lost = served[best] - served[chosen]
    assert lost.mean() <= 0.5 * lost.std(ddof=1) / len(lost) ** 0.5 + 1e-6
    assert min(best, 0.5) <= chosen <= max(best, 0.5)
