"""The stages of group corpus, one after the other in a home."""

from embed_pipeline.corpus.parsers.blocks import Block, Extracted
from embed_pipeline.corpus.parsers.losses import Losses
from embed_pipeline.corpus.parsers.registry import BY_SUFFIX, Format
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.corpus import corpus_manifest, documents
from embed_pipeline.stages.run import run_stage
from embed_pipeline.store.artifacts import Store

TEXT = "The loft warden checks the skein before every lofting and writes it into the gust ledger."


def losing(data: bytes) -> Extracted:
    losses = Losses()
    losses.add("furniture", "Page <b>1</b> of 2")
    return Extracted([Block(data.decode())], losses=losses.told())


def test_what_documents_lost_stands_in_a_table_and_its_totals_in_the_manifest(tmp_path, monkeypatch):
    monkeypatch.setitem(BY_SUFFIX, ".md", Format("markdown", (".md",), losing))
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "a.md").write_text(TEXT)
    (tmp_path / "corpus" / "b.txt").write_text(TEXT)
    settings, store = load_settings(None, None, [f"corpus.path={tmp_path / 'corpus'}"]), Store(tmp_path / "home")
    listed = run_stage(corpus_manifest, settings, store, {}).artifact
    made = run_stage(documents, settings, store, {"corpus_manifest": listed}).artifact
    (row,) = made.frame("dropped").to_dicts()
    assert (row["doc_id"], row["kind"], row["characters"]) == ("a.md", "furniture", 15)
    manifest = made.manifest()
    assert manifest.summary["dropped_characters"] == 15
    assert "| furniture | 1 | 15 | 1 | headers" in manifest.charts["left out or replaced"]

    (tmp_path / "corpus" / "a.md").unlink()
    listed = run_stage(corpus_manifest, settings, store, {}).artifact
    made = run_stage(documents, settings, store, {"corpus_manifest": listed}).artifact
    assert made.frame("dropped").is_empty()
    assert "left out or replaced" not in made.manifest().charts
