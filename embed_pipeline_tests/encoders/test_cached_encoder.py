"""The cache over any encoder: every text once, whatever happens."""

import numpy as np
import pytest

from embed_pipeline.encoders.cached_encoder import CachedEncoder
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline_tests.encoders.test_torch_encoder import tiny_spec


class CountingEncoder:
    """Vectors of one number, the length of the text; remembers what it was asked."""

    def __init__(self, spec: EncoderSpec) -> None:
        self.spec = spec
        self.asked: list[tuple[str, str]] = []

    def encode(self, texts, role):
        self.asked += [(role, text) for text in texts]
        return np.array([[len(text)] for text in texts], np.float32)


def test_each_text_is_computed_once_and_a_fully_cached_run_loads_nothing(tmp_path):
    inner = CountingEncoder(tiny_spec())
    loads: list[CountingEncoder] = []

    def load():
        loads.append(inner)
        return inner

    encoder = CachedEncoder(inner.spec, load, tmp_path)
    assert encoder.encode(["aa", "b", "aa"], "query").tolist() == [[2], [1], [2]]
    assert encoder.encode(["ccc", "b"], "query").tolist() == [[3], [1]]
    assert inner.asked == [("query", "aa"), ("query", "b"), ("query", "ccc")]

    reopened = CachedEncoder(inner.spec, load, tmp_path)
    assert reopened.encode(["ccc", "aa"], "query").tolist() == [[3], [2]]
    assert len(loads) == 1


def test_role_and_spec_are_part_of_what_is_cached(tmp_path):
    cache = tmp_path
    first, second = CountingEncoder(tiny_spec()), CountingEncoder(tiny_spec(query_prompt="q: "))
    CachedEncoder(first.spec, lambda: first, cache).encode(["a"], "query")
    CachedEncoder(first.spec, lambda: first, cache).encode(["a"], "passage")
    CachedEncoder(second.spec, lambda: second, cache).encode(["a"], "query")
    assert first.asked == [("query", "a"), ("passage", "a")]
    assert second.asked == [("query", "a")]


def test_what_was_computed_before_a_failure_is_kept(tmp_path):
    class Failing(CountingEncoder):
        def encode(self, texts, role):
            if len(self.asked) >= 4096:
                raise RuntimeError("killed")
            return super().encode(texts, role)

    cache = tmp_path
    inner, texts = Failing(tiny_spec()), [f"{number}" for number in range(5000)]
    with pytest.raises(RuntimeError):
        CachedEncoder(inner.spec, lambda: inner, cache).encode(texts, "passage")
    healed = CountingEncoder(tiny_spec())
    vectors = CachedEncoder(healed.spec, lambda: healed, cache).encode(texts, "passage")
    assert len(healed.asked) == 5000 - 4096
    assert vectors[:, 0].tolist() == [len(text) for text in texts]


def test_no_texts_through_the_cache_load_nothing(tmp_path):
    def load():
        raise AssertionError("loaded for nothing")

    vectors = CachedEncoder(tiny_spec(dimensions=(7,)), load, tmp_path).encode([], "query")
    assert vectors.shape == (0, 7)
    assert vectors.dtype == np.float32


def test_a_corpus_that_grows_by_one_percent_is_encoded_by_one_percent(tmp_path):
    inner = CountingEncoder(tiny_spec())
    texts = [f"passage {number}" for number in range(500)]
    CachedEncoder(inner.spec, lambda: inner, tmp_path).encode(texts, "passage")
    inner.asked.clear()
    CachedEncoder(inner.spec, lambda: inner, tmp_path).encode([*texts, *(f"new {n}" for n in range(5))], "passage")
    assert len(inner.asked) == 5


def test_what_is_known(tmp_path):
    inner = CountingEncoder(tiny_spec())
    encoder = CachedEncoder(inner.spec, lambda: inner, tmp_path)
    encoder.encode(["a"], "query")
    assert encoder.knows(["a", "b"], "query") == [True, False]
    assert encoder.knows(["a"], "passage") == [False]
