"""What a purge finds, what it leaves to others, and that one that was killed can be begun again."""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from embed_pipeline.errors import InputError
from embed_pipeline.evaluation.judged import JudgedQuestions
from embed_pipeline.files import sha256_text, temporary_folder, write_json
from embed_pipeline.stages import erase
from embed_pipeline.stages.purge import find, require_gone
from embed_pipeline.store.artifacts import DATA, Artifact, Store
from embed_pipeline.store.content_cache import ContentCache
from embed_pipeline_tests.kills import killed_after

ANNA = "Anna Quill lives at 7 Heron Lane and keeps two dozen amber bees behind the shed."
SHARED = "Every station keeps a paper copy of the lofting table in the hut."
TEXTS = {
    "anna.md": f"{ANNA} {SHARED}",
    "valve.md": f"The valve releases lift gas when the lung is too full. {SHARED}",
}
ASKED = {"anna.md": "who keeps the two dozen bees of amber", "valve.md": "what does the valve do when it is full"}


def commit(
    store: Store, asset: str, rows: Sequence[dict[str, Any]], *inputs: Artifact, files: dict[str, str] | None = None
) -> Artifact:
    key = sha256_text(f"{asset} {rows} {[one.version for one in inputs]}")
    with temporary_folder(store.staging(asset), "new") as staged:
        (staged / DATA).mkdir()
        pl.DataFrame(list(rows)).write_parquet(staged / DATA / "table.parquet")
        for name, text in (files or {}).items():
            (staged / DATA / name).write_text(text)
        values: dict[str, Any] = {
            "asset": asset,
            "key": key,
            "stage_version": "1",
            "settings": {},
            "external": {},
            "started": "",
        }
        values |= {"inputs": {one.asset: one.version for one in inputs}, "seconds": 1.0}
        made = store.commit(staged, values | {"host": "", "device": "", "libraries": {}})
    store.point(made, key, "computed", 1.0, run_id="run")
    return made


def fill(home: Path, names: tuple[str, ...] = ("anna.md", "valve.md"), prefix: str = "") -> Store:
    store = Store(home)
    texts = {name: TEXTS[name] for name in names}
    listing = [{"path": name, "bytes": len(text), "sha256": sha256_text(text)} for name, text in texts.items()]
    manifest = commit(store, "corpus_manifest", listing)
    rows: list[dict[str, Any]] = [
        {"doc_id": name, "path": name, "title": "", "text": text} for name, text in texts.items()
    ]
    documents = commit(store, f"{prefix}documents", rows, manifest)
    passages = commit(
        store, f"{prefix}passages", [row | {"passage_id": f"{row['doc_id']}#0"} for row in rows], documents
    )
    pairs = [{"question_id": name, "question": ASKED[name], "answer": "", "doc_ids": [name]} for name in names]
    questions = commit(store, f"{prefix}qa_pairs", pairs, passages)
    training = [{"question": ASKED[name], "positive": texts[name]} for name in names]
    trained = commit(store, f"{prefix}training_set", training, questions)
    commit(store, f"{prefix}checkpoint", [{"loss": 0.1}], trained, files={"model.safetensors": "weights"})
    return store


def holds(home: Path, words: str) -> bool:
    tables = [str(pl.read_parquet(path).to_dicts()) for path in home.rglob("*.parquet")]
    return any(
        words in text for text in [*tables, *(path.read_text("utf-8", "replace") for path in home.rglob("*.json"))]
    )


def purge(home: Path, name: str) -> None:
    erase.remove_half_done(home)
    found = find(home, [name])
    others = erase.files_that_quote(found)
    erase.erase_caches(found)
    erase.erase_files(found, others)
    erase.verify(found)


@pytest.mark.parametrize("prefix", ["", "contracts__"])
def test_what_was_made_from_a_document_goes_and_the_rest_stays(tmp_path, prefix):
    store = fill(tmp_path, ("valve.md",), prefix)  # before the document was added
    before = {asset: store.current(f"{prefix}{asset}") for asset in ("documents", "qa_pairs", "checkpoint")}
    fill(tmp_path, prefix=prefix)
    found = find(tmp_path, ["anna.md"])
    assert found.also_in == ["valve.md"]  # SHARED stays
    assert [one.asset for one in found.doomed][-1] == f"{prefix}documents"
    assert [(one.asset, trained) for one, trained in found.models.items()] == [(f"{prefix}checkpoint", True)]
    assert found.holds([f"they say {ANNA[:40]}"]) and found.holds([ASKED["anna.md"]]) and found.holds(["see anna.md#0"])
    assert not found.holds([SHARED, ASKED["valve.md"], "see hanna.md and anna.mdx"])
    purge(tmp_path, "anna.md")
    assert not holds(tmp_path, "Heron Lane") and not holds(tmp_path, "anna.md")
    fresh = Store(tmp_path)
    assert all(one is not None and fresh.is_intact(one) for one in before.values())
    assert fresh.current(f"{prefix}documents") is None
    assert fresh.current(f"{prefix}checkpoint") is not None
    with pytest.raises(InputError, match=r"holds no document anna\.md"):
        find(tmp_path, ["anna.md"])


def test_judgements_of_its_passages_and_questions_that_quote_it_go_and_others_stay(tmp_path):
    fill(tmp_path)
    judged = JudgedQuestions(tmp_path)
    judged.judge("what is in the hut", "anna.md#0000", 2)
    judged.judge("what is in the hut", "valve.md#0000", 1)
    judged.judge("who lives in the hut", "anna.md#0000", 1)
    judged.judge(ANNA, "valve.md#0000", 0)
    purge(tmp_path, "anna.md")
    assert [(one.text, dict(one.scores)) for one in judged.all()] == [("what is in the hut", {"valve.md#0000": 1})]


def test_replies_about_it_go_and_others_stay(tmp_path):
    fill(tmp_path)
    cache = ContentCache(tmp_path / "cache" / "responses.sqlite")
    replies = {
        "evidence": '{"content": "{\\"evidence\\": \\"Quill lives at 7 Heron Lane\\"}"}',
        "question": '{"content": "who keeps the two dozen bees of amber?"}',
        "shared": f'{{"content": "{SHARED}"}}',
        "other": f'{{"content": "{ASKED["valve.md"]}"}}',
        "cut off": '{"content": "[{\\"text\\": \\"Anna Quill lives at 7\\\\nHeron"}',
    }
    cache.put_many({key: text.encode() for key, text in replies.items()})
    purge(tmp_path, "anna.md")
    assert set(dict(cache.items())) == {"shared", "other"}
    cache.close()


def test_a_document_that_is_still_there_is_refused_also_under_another_name(tmp_path):
    home, corpus = tmp_path / "home", tmp_path / "corpus"
    fill(home)
    corpus.mkdir()
    (corpus / "valve.md").write_text(TEXTS["valve.md"])
    found = find(home, ["anna.md"])
    require_gone(found, corpus)
    require_gone(found, None)
    require_gone(found, tmp_path / "absent")
    (corpus / "other.md").write_text(TEXTS["anna.md"])
    with pytest.raises(InputError, match=r"other\.md: still holds"):
        require_gone(found, corpus)
    (corpus / "other.md").rename(corpus / "anna.md")
    with pytest.raises(InputError, match=r"anna\.md: still holds"):
        require_gone(found, corpus)


def test_a_purge_that_was_killed_is_done_by_the_next(tmp_path):
    """The process ends after each of its removals, one after the other."""
    steps = 0
    while True:
        home = tmp_path / f"home{steps}"
        fill(home)
        write_json(home / "history" / "run.json", {"said": ANNA})
        write_json(home / "work" / "x" / "rows.json", [ANNA])
        if not killed_after(steps, partial(purge, home, "anna.md")):
            break
        with suppress(InputError):  # all that was left of it were files without a name, which are gone now
            purge(home, "anna.md")
        assert not holds(home, "Heron Lane"), steps
        steps += 1
    assert steps > 20


def test_what_was_read_of_the_corpus_goes_with_it(tmp_path):
    from embed_pipeline.corpus.kept import KeptCorpus

    fill(tmp_path)
    with KeptCorpus.of(tmp_path) as kept:
        kept.documents.put_json({b"anna": {"text": ANNA}, b"valve": {"text": "Valves open to the left."}})
    stored = tmp_path / "cache" / "corpus" / "documents.sqlite"
    (stored.parent / "documents.sqlite-wal").write_text(ANNA)  # of a run that was killed
    assert stored in erase.files_that_quote(find(tmp_path, ["anna.md"]))
    purge(tmp_path, "anna.md")
    assert list(stored.parent.iterdir()) == []
