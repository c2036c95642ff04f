"""All settings: one frozen model per stage; :mod:`embed_pipeline.settings.sources` reads them.

A setting declared with :func:`~embed_pipeline.settings.section.runtime` cannot change a result (device, batch sizes
of inference, concurrency, where things lie) and stays out of every artifact's key.
"""

from embed_pipeline.settings.corpus import CorpusSettings, EncoderSettings
from embed_pipeline.settings.delivery import AutomationSettings, DeploySettings, EvalSettings, ExportSettings
from embed_pipeline.settings.finetune import FinetuneSettings, LoraSettings, SweepSettings
from embed_pipeline.settings.pipeline import Settings
from embed_pipeline.settings.prep import PrepSettings
from embed_pipeline.settings.sdg import LLMSettings, QueryMix, SdgSettings
from embed_pipeline.settings.section import Section, sections_of

__all__ = [
    "AutomationSettings",
    "CorpusSettings",
    "DeploySettings",
    "EncoderSettings",
    "EvalSettings",
    "ExportSettings",
    "FinetuneSettings",
    "LLMSettings",
    "LoraSettings",
    "PrepSettings",
    "QueryMix",
    "SdgSettings",
    "Section",
    "Settings",
    "SweepSettings",
    "sections_of",
]
