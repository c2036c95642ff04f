"""Searching a home: its newest passages and model, and without what is not there."""

import pytest

from embed_pipeline.errors import InputError, ModelAccessError
from embed_pipeline.files import sha256_text
from embed_pipeline.stages.searching import HomeSearch
from embed_pipeline.store.vector_cache import VectorCache
from embed_pipeline_tests.searchable import ARABIC, HOSTILE, Searchable, searchable, some_passages


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Searchable:
    return searchable(tmp_path_factory.mktemp("searching"))


def names(found) -> list[str]:
    return [system["name"] for system in found["systems"]]


def vectors(home: Searchable) -> int:
    return sum(
        len(VectorCache(folder, 32)._index.execute("SELECT key FROM place").fetchall())
        for folder in (home.home / "cache" / "embeddings").iterdir()
    )


def test_four_systems_and_a_typed_query_leaves_nothing_behind(home):
    search = HomeSearch(home.home, home.settings())
    found = search.search("where is the lion?", 5)
    assert names(found) == ["base", "tuned", "bm25", "convex_tuned"]
    assert found["notes"] == []
    before = vectors(home)
    assert before == 2 * len(some_passages())
    search.search("quite another thing", 5)
    assert vectors(home) == before


@pytest.mark.parametrize(
    "query", ["x" * 10_000, "wort " * 2_000, "\x1b[31mlion\x00", "lion\ud800", "المحرك", "<script>"]
)
def test_whatever_is_typed(home, query):
    found = HomeSearch(home.home, home.settings()).search(query, 3)
    assert len(found["systems"][0]["hits"]) == 3
    found["query"].encode()


@pytest.mark.parametrize("query", ["", " \n\t", "\x00\x01", "y" * 20_001])
def test_what_cannot_be_searched_is_told(home, query):
    with pytest.raises(InputError, match="query"):
        HomeSearch(home.home, home.settings()).search(query, 3)


def test_before_there_is_a_model_and_after_it_was_trained(tmp_path):
    home = searchable(tmp_path, checkpoint=False)
    search = HomeSearch(home.home, home.settings())
    found = search.search("lion", 3)
    assert names(found) == ["base", "bm25", "convex"]
    assert "No model has been trained" in found["notes"][0]
    home.put_checkpoint()
    assert names(search.search("lion", 3)) == ["base", "tuned", "bm25", "convex_tuned"]
    home.put_passages([("New", "a zebra came in")])
    assert [hit["passage_id"] for hit in search.search("zebra", 3)["systems"][2]["hits"]] == ["doc00.md#0000"]


def test_an_empty_home_and_a_base_model_that_is_not_there(tmp_path, home):
    with pytest.raises(InputError, match="embed-pipeline run makes them"):
        HomeSearch(tmp_path / "none", home.settings()).search("lion", 3)
    with pytest.raises(ModelAccessError, match="base_model"):
        HomeSearch(home.home, home.settings("base_model=/nowhere")).search("lion", 3)


def test_what_has_become_of_judged_passages(home):
    search = HomeSearch(home.home, home.settings())
    hostile, arabic = (sha256_text(f"{title} {text}") for title, text in (HOSTILE, ARABIC))
    asked = [["doc00.md#0000", hostile], ["doc09.md#0000", arabic], ["doc01.md#0000", "0" * 64], ["gone.md#0000", ""]]
    assert [(one["state"], one["passage_id"]) for one in search.what_became(asked)] == [
        ("same", "doc00.md#0000"),
        ("moved", "doc01.md#0000"),
        ("changed", "doc01.md#0000"),
        ("gone", "gone.md#0000"),
    ]


def test_queries_of_a_log_on_which_the_systems_differ(home, tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("lion\nzzz unknown\nriver lamp\n\nLION\n")
    search = HomeSearch(home.home, home.settings(f"eval.query_log={log}"))
    found = search.suggestions()
    assert (found["log"], found["distinct"], found["looked_at"]) == (True, 3, 3)
    assert {one["query"] for one in found["queries"]} == {"lion", "zzz unknown", "river lamp"}
    values = [one["disagreement"] for one in found["queries"]]
    assert values == sorted(values, reverse=True)
    log.write_text("bridge\n")
    assert [one["query"] for one in search.suggestions()["queries"]] == ["bridge"]
    log.unlink()
    with pytest.raises(InputError, match=r"eval\.query_log"):
        search.suggestions()
    assert HomeSearch(home.home, home.settings()).suggestions()["log"] is False


def test_what_the_corpus_tells_of_a_document_comes_with_its_passages(tmp_path):
    home = searchable(tmp_path, checkpoint=False)
    search = HomeSearch(home.home, home.settings())
    assert {str(passage["told"]) for passage in search.search("lion", 3)["passages"].values()} == {"{}"}
    told = [("doc02.md", "url", "https://a.example/lion"), ("doc02.md", "tags", "a"), ("doc02.md", "tags", "b")]
    home.put_passages(some_passages(), told)
    found = search.search("Where the lion stands", 20)["passages"]
    assert found["doc02.md#0000"]["told"] == {"url": ["https://a.example/lion"], "tags": ["a", "b"]}
    assert all(not passage["told"] for name, passage in found.items() if name != "doc02.md#0000")
