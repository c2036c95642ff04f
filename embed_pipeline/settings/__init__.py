"""All settings: one frozen model per stage; :mod:`embed_pipeline.settings.sources` reads them.

Which of them are part of an artifact's key, and how a new one is declared so that no home is computed anew, says
:mod:`embed_pipeline.settings.section`.
"""

from embed_pipeline.settings.automation import AutomationSettings
from embed_pipeline.settings.corpus import CorpusSettings, EncoderSettings
from embed_pipeline.settings.delivery import DeploySettings, ExportSettings, LaunchpadSettings
from embed_pipeline.settings.evaluation import Bm25Settings, EvalSettings
from embed_pipeline.settings.finetune import FinetuneSettings, LoraSettings, SweepSettings
from embed_pipeline.settings.keep import KeepSettings
from embed_pipeline.settings.pipeline import Settings
from embed_pipeline.settings.prep import PrepSettings
from embed_pipeline.settings.sdg import LLMSettings, QueryMix, SdgSettings
from embed_pipeline.settings.section import Section, sections_of

__all__ = [
    "AutomationSettings",
    "Bm25Settings",
    "CorpusSettings",
    "DeploySettings",
    "EncoderSettings",
    "EvalSettings",
    "ExportSettings",
    "FinetuneSettings",
    "KeepSettings",
    "LLMSettings",
    "LaunchpadSettings",
    "LoraSettings",
    "PrepSettings",
    "QueryMix",
    "SdgSettings",
    "Section",
    "Settings",
    "SweepSettings",
    "sections_of",
]
