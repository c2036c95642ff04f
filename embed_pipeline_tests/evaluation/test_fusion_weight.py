"""The weight of the fusion is half unless questions judged by people say otherwise."""

from embed_pipeline.evaluation.fusion_weight import FusionWeight, choose_weight
from embed_pipeline.records import RetrievalSet
from embed_pipeline.retrieval.fusion import Run
from embed_pipeline.settings import EvalSettings

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


def test_few_questions_and_no_difference_leave_it_at_half() -> None:
    good, bad = finding(1.0, 0.5, 3), finding(0.2, 1.0, 3)
    assert choose_weight(judged(3), bad, good, 10, SETTINGS) == FusionWeight()
    alike = finding(1.0, 0.5, 40)
    assert choose_weight(judged(40), alike, alike, 10, SETTINGS) == FusionWeight()
