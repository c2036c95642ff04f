"""The model folder loads in MTEB as it is; a task of the sample's gold set gives the figure that is reported here."""

from pathlib import Path

import pytest

from embed_pipeline.encoders.torch_encoder import TorchEncoder
from embed_pipeline.evaluation.metrics import mean_scores, score_run
from embed_pipeline.evaluation.retrieve import dense_run
from embed_pipeline.finetune.model_folder import write_model
from embed_pipeline.formats.beir import read_retrieval_set
from embed_pipeline.settings import FinetuneSettings
from embed_pipeline_tests.finetune.build import tiny_model

mteb = pytest.importorskip("mteb", exc_type=ImportError)

GOLD = Path(__file__).parents[2] / "examples" / "loft_stations" / "gold"


@pytest.mark.filterwarnings("ignore")  # MTEB's own
def test_mteb_measures_what_is_measured_here(tmp_path):
    (tmp_path / "base").mkdir()
    base = tiny_model(tmp_path / "base", query_prompt="question: ", passage_prompt="passage: ")
    longer = base.model_copy(update={"max_query_length": 64, "max_passage_length": 64})
    spec = write_model(longer, Path(base.model), tmp_path / "tuned", FinetuneSettings())
    gold = read_retrieval_set(GOLD, "test", "gold")
    ours = mean_scores(score_run(gold, dense_run(gold, TorchEncoder.load(spec, "cpu"), 100), [10]))
    model = mteb.SentenceTransformerEncoderWrapper(str(tmp_path / "tuned"), device="cpu")
    found = mteb.evaluate(model, _task(gold), cache=None, show_progress_bar=False, encode_kwargs={"batch_size": 32})
    theirs = found[0].scores["test"][0]
    for metric, name in {"ndcg@10": "ndcg_at_10", "recall@10": "recall_at_10", "map@10": "map_at_10"}.items():
        assert theirs[name] == pytest.approx(ours[metric], abs=1e-4)
    assert ours["ndcg@10"] > 0.01


def _task(gold):
    from datasets import Dataset

    class SampleGold(mteb.abstasks.AbsTaskRetrieval):
        metadata = mteb.TaskMetadata(
            name="SampleGold",
            description="The sample's gold set.",
            dataset={"path": "sample", "revision": "1"},
            type="Retrieval",
            category="t2t",
            modalities=["text"],
            eval_splits=["test"],
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, *_, **__):
            rows = {"corpus": gold.passages, "queries": gold.queries}
            tables = {
                name: Dataset.from_dict({"id": list(texts), "text": list(texts.values())})
                for name, texts in rows.items()
            }
            relevant = {query: dict(row) for query, row in gold.qrels.items()}
            self.dataset = {"default": {"test": {**tables, "relevant_docs": relevant, "top_ranked": None}}}
            self.data_loaded = True

    return SampleGold()
