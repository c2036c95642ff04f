"""What --plan says of the cost of variants."""

from embed_pipeline.settings.sources import load_settings
from embed_pipeline.stages.estimates import generation_estimate, llm_estimates
from embed_pipeline.stages.graph import selection, stages
from embed_pipeline.stages.plan import make_plan
from embed_pipeline.store.artifacts import Store

WRITER = "sdg.llm.base_url: http://127.0.0.1:1/v1, sdg.llm.model: gpt-4o-mini"


def test_each_graph_is_estimated_by_its_own_settings_and_what_is_shared_once(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Valve\n\n" + "The valve releases gas when the lung is too full. " * 200)
    more = f"{WRITER}, sdg.questions_per_1000_tokens: 20"
    variants = f"variants={{asked: {{{WRITER}}}, more: {{{more}}}, tuned: {{finetune.epochs: 4}}}}"
    settings = load_settings(None, None, [variants, f"corpus.path={tmp_path / 'docs'}"], {})
    graph, store = stages(settings), Store(tmp_path / "home")
    names = selection(None, graph, ["asked", "more", "tuned"])
    found = llm_estimates(make_plan([graph[name] for name in names], settings, store), settings, store)
    assert set(found) == {"asked__qa_candidates", "more__qa_candidates"}
    few, many = (found[f"{name}__qa_candidates"].as_json() for name in ("asked", "more"))
    assert isinstance(few["completion_tokens"], int)
    assert isinstance(many["completion_tokens"], int)
    assert few["completion_tokens"] < many["completion_tokens"]


def test_imported_questions_cost_nothing_but_what_is_written_beside_them(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Valve\n\n" + "The valve releases gas when the lung is too full. " * 200)
    asked = ["sdg.llm.base_url=http://127.0.0.1:1/v1", "sdg.llm.model=gpt-4o-mini", f"corpus.path={tmp_path / 'docs'}"]
    imported = [*asked, "sdg.import_from=/q.jsonl"]
    estimates = [
        generation_estimate(load_settings(None, None, given, {}), Store(tmp_path / "home"), None)
        for given in (asked, imported, [*imported, "sdg.also_generate=true"])
    ]
    assert estimates[1] is None
    assert estimates[0] is not None
    assert estimates[2] is not None
    assert estimates[0].as_json() == estimates[2].as_json()
