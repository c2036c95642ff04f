"""Dense runs and the order of a run."""

from collections.abc import Sequence

import numpy as np
import pytest

from embed_pipeline.encoders.spec import Role, Vectors
from embed_pipeline.errors import StageError
from embed_pipeline.evaluation.retrieve import dense_run, ranked
from embed_pipeline.records import RetrievalSet
from embed_pipeline_tests.evaluation.helpers import SPEC, WordEncoder, numbered_set


class PlaneEncoder:
    """Texts are two numbers, the vector itself; remembers the roles."""

    spec = SPEC

    def __init__(self) -> None:
        self.roles: list[str] = []

    def encode(self, texts: Sequence[str], role: Role) -> Vectors:
        self.roles.append(role)
        return np.array([[float(part) for part in text.split()] for text in texts], np.float32)


def test_scores_are_inner_products_best_first() -> None:
    retrieval_set = RetrievalSet(
        "s", {"a": "1 0", "b": "0 1", "q": "0.5 0.5"}, {"q": "1 0", "r": "0 2"}, {"q": {"a": 1}, "r": {"b": 1}}
    )
    encoder = PlaneEncoder()
    run = dense_run(retrieval_set, encoder, 2)
    assert run == {"q": {"a": 1.0, "q": 0.5}, "r": {"b": 2.0, "q": 1.0}}
    assert [list(found) for found in run.values()] == [["a", "q"], ["b", "q"]]
    assert sorted(encoder.roles) == ["passage", "query"]


def test_k_may_exceed_the_corpus() -> None:
    run = dense_run(numbered_set(4), WordEncoder(), 100)
    assert {len(found) for found in run.values()} == {4}
    assert next(iter(run["q3"])) == "p3"


def test_a_vector_that_is_not_finite_is_an_error() -> None:
    retrieval_set = RetrievalSet("s", {"a": "1 nan"}, {"q": "1 0"}, {"q": {"a": 1}})
    with pytest.raises(StageError, match="vector of a passage is not finite"):
        dense_run(retrieval_set, PlaneEncoder(), 1)


def test_ties_are_ordered_as_trec_eval_does() -> None:
    assert ranked({"a": 0.5 + 1e-12, "b": 0.5, "c": 0.9, "d": -1.0}) == ["c", "b", "a", "d"]
