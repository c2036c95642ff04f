"""Looking after a home: a document that is purged is gone from every corner of it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from embed_pipeline.encoders.cached_encoder import keys_of
from embed_pipeline.files import temporary_folder, write_json, write_text
from embed_pipeline.llm.chat_api import Reply
from embed_pipeline.llm.responses import Entry, ResponseStore
from embed_pipeline.records import passage_text
from embed_pipeline.store.artifacts import DATA, Store
from embed_pipeline.store.content_cache import ContentCache
from embed_pipeline.store.vector_cache import VectorCache, width_of
from embed_pipeline_tests.test_pipeline import User

CANARY = "Yolanda Quill-Okonkwo of 7 Heron Lane mended the amber bellows with walrus thread at midnight"
DOCUMENTS = 6
WORDS = ("Quill-Okonkwo", "walrus thread")
DOCUMENT = f"""# Visit of the twelfth

{CANARY}. The rest of the crew slept in the cradle hut, since the wind had dropped before supper and nobody expected
the lung to be filled again that week. In the morning the warden wrote three lines into the station log.

Then the tether was dried on the rack beside the stove, and the two spare latches were carried to the upper shelf.
{CANARY.replace("midnight", "dawn")}. Nobody else had ever tried that.
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory) -> User:
    """A user with a home up to the training set, and a little of everything else that a home may hold."""
    somebody = User(tmp_path_factory.mktemp("purge"), documents=DOCUMENTS)
    somebody.options += ["--set", "sdg.min_questions=5", "--set", "sdg.max_questions=40"]
    (somebody.corpus / "visit.md").write_text(DOCUMENT)
    done = somebody.run("run", "--to", "training_set")
    assert done.returncode == 0, done.stderr
    fill(somebody.home)
    return somebody


def fill(home: Path) -> None:
    store = Store(home)
    training_set = store.current("training_set")
    assert training_set is not None
    with temporary_folder(store.staging("checkpoint"), "new") as staged:
        (staged / DATA).mkdir()
        (staged / DATA / "model.safetensors").write_bytes(b"weights")
        values: dict[str, Any] = {
            "asset": "checkpoint",
            "key": "k",
            "stage_version": "1",
            "settings": {},
            "external": {},
        }
        values |= {"inputs": {"training_set": training_set.version}, "started": "", "seconds": 1.0}
        made = store.commit(staged, values | {"host": "", "device": "", "libraries": {}})
    store.point(made, "k", "computed", 1.0)
    responses = ResponseStore(home / "cache" / "responses.sqlite")
    for key, content in (("about", {"questions": [{"evidence": CANARY}]}), ("other", {"questions": ["which latch?"]})):
        reply = Reply(json.dumps(content), refusal="", cut=False, prompt_tokens=10, completion_tokens=5)
        responses.keep(reply, Entry("s", key, "m", 10, 5, 1.0, False, True)).result()
    responses.close()
    scores = ContentCache(home / "cache" / "cross_encoder.sqlite")
    scores.put("pair", b"0000")
    scores.close()
    write_json(home / "history" / "run.json", {"said": f"shortest passage: {CANARY}"})
    write_text(home / "cache" / "corpus_files" / "x.json", 'a hash\n{"other.md": [1], "visit.md": [2]}\n')
    write_json(home / "history" / "other.json", {"said": "all well"})
    write_json(home / "work" / "checkpoint-x" / "rows.json", [CANARY])
    leftover = home / "artifacts" / "passages" / ".new.00000000.999999999.0.tmp"
    write_json(leftover / "data.json", [CANARY])


def everything(home: Path) -> str:
    """All that a home holds, read with none of the code that is tested."""
    said = []
    for path in sorted(home.rglob("*")):
        if path.is_file():
            said.append(path.read_bytes().decode("utf-8", "replace"))
        if path.suffix == ".parquet":
            said.append(json.dumps(pl.read_parquet(path).to_dicts(), ensure_ascii=False, default=str))
        if path.suffix in (".db", ".sqlite"):
            with closing(sqlite3.connect(path)) as connection:
                said += connection.iterdump()
    return "\n".join(said)


def test_a_document_still_in_the_corpus_is_refused_and_nothing_is_lost(user):
    before = everything(user.home)
    assert all(word in before for word in WORDS)
    done = user.run("purge", "visit.md")
    assert done.returncode == 2
    assert "visit.md: still holds a document to be purged" in done.stderr
    (user.corpus / "visit.md").rename(user.corpus / "renamed.md")
    assert "renamed.md: still holds" in user.run("purge", "visit.md").stderr
    (user.corpus / "renamed.md").rename(user.corpus / "visit.md")
    assert Store(user.home).current("training_set") is not None


def test_an_unknown_document_is_named(user):
    done = user.run("purge", "visit.md", "absent.md")
    assert done.returncode == 2
    assert "holds no document absent.md" in done.stderr


def test_nothing_of_a_purged_document_is_left_and_the_next_run_makes_the_rest_again(user):
    (user.corpus / "visit.md").unlink()
    home, store = user.home, Store(user.home)
    table = store.current("passages").frame()
    theirs = passage_text(*table.filter(pl.col("doc_id") == "visit.md").select("title", "text").row(0))
    others = passage_text(*table.filter(pl.col("doc_id") != "visit.md").select("title", "text").row(0))
    (folder,) = {path.parent for path in (home / "cache" / "embeddings").glob("*/index.sqlite")}
    vector = vector_of(folder, theirs)
    assert vector.tobytes() in (folder / "vectors-00000.f32").read_bytes()

    plan = json.loads(user.run("purge", "visit.md", "--plan", "--json").stdout)
    assert WORDS[0] in everything(home)  # a plan removes nothing
    done = user.run("purge", "visit.md", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)

    assert {name: report[name] for name in plan} == plan
    left = everything(home)
    assert [word for word in (*WORDS, "visit.md") if word in left] == []
    assert vector.tobytes() not in (folder / "vectors-00000.f32").read_bytes()
    assert width_of(folder) == len(vector)
    assert vector_of(folder, theirs) is None
    assert vector_of(folder, others) is not None
    assert {"documents", "passages", "qa_pairs", "training_set"} <= set(report["recomputed"])
    assert (report["replies"], report["history"]) == (1, 1)
    assert set(report["files"]) >= {"cache/corpus_files/x.json", "history/run.json"}
    assert [(one["asset"], one["trained_on_it"], one["in_use"]) for one in report["models"]] == [
        ("checkpoint", True, True)
    ]
    kept = ResponseStore(home / "cache" / "responses.sqlite")
    assert (kept.get("about"), kept.get("other") is not None) == (None, True)
    assert kept.spending("s")["m"]["requests"] == 2  # what was paid stays known
    kept.close()
    assert (home / "history" / "other.json").is_file()

    assert {"documents", "passages", "qa_pairs", "training_set"} <= set(user.plan())
    assert user.run("run", "--to", "documents").returncode == 0
    documents = Store(user.home).current("documents")
    assert documents is not None and documents.frame().height == DOCUMENTS
    assert WORDS[1] not in everything(user.home)


def vector_of(folder: Path, text: str):
    cache = VectorCache(folder, width_of(folder))
    places = list(cache.positions(keys_of(text)).values())
    found = cache.gather(places)[0].copy() if places else None
    cache.close()
    return found


def test_gc_tells_sizes_by_kind_and_does_what_it_planned(user):
    planned = user.run("gc", "--plan", "--json")
    assert planned.returncode == 0, planned.stderr
    plan = json.loads(planned.stdout)
    assert plan["kinds"]["locks"]["count"] > 0
    assert json.loads(user.run("gc", "--json").stdout) == plan
