"""How a text becomes a vector, decided once.

An :class:`EncoderSpec` travels inside every model artifact as ``encoder.json``. Mining, training,
evaluation, export and serving read it from there, so they cannot disagree. Anything with the methods of
:class:`Encoder` will do: a torch model, ONNX Runtime, an HTTP endpoint.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from embed_pipeline.errors import ArtifactError
from embed_pipeline.files import sha256_json, write_json
from embed_pipeline.settings.section import keyed

Vectors = NDArray[np.float32]
Role = Literal["query", "passage"]
PoolingMode = Literal["mean", "cls", "last"]
SPEC_FILE = "encoder.json"
PLURAL: dict[Role, str] = {"query": "queries", "passage": "passages"}


class EncoderSpec(BaseModel):
    """Everything that decides a text's vector.

    Attributes:
        model: folder of the model; not part of the version.
        content_sha256: hash over the model's files.
        max_query_length, max_passage_length: tokens, special tokens included.
        dimensions: sizes offered, the full one first; smaller ones are prefixes, renormalised (Matryoshka).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(json_schema_extra={"in_key": False})
    content_sha256: str
    pooling: PoolingMode = "mean"
    normalize: bool = True
    query_prompt: str = ""
    passage_prompt: str = ""
    max_query_length: int
    max_passage_length: int
    padding_side: Literal["left", "right"] = "right"
    add_special_tokens: bool = True
    attention: Literal["causal", "bidirectional"] = "bidirectional"
    dimensions: tuple[int, ...]
    trust_remote_code: bool = False

    def version(self) -> str:
        """Hash of everything but the place of the model; fields :func:`~embed_pipeline.settings.section.added` count
        only where they differ from their default, so that vectors and keys of older homes stay valid.
        """
        return sha256_json(keyed(self))

    def prompt(self, role: Role) -> str:
        """What is put before a text of this role."""
        return self.query_prompt if role == "query" else self.passage_prompt

    def max_length(self, role: Role) -> int:
        """Tokens of a text of this role."""
        return self.max_query_length if role == "query" else self.max_passage_length

    def save(self, folder: Path) -> None:
        """Write ``encoder.json`` into a model folder."""
        write_json(folder / SPEC_FILE, self.model_dump(mode="json", exclude={"model"}))

    @classmethod
    def load(cls, folder: Path) -> "EncoderSpec":
        """Read ``encoder.json`` of a model folder.

        Raises:
            ArtifactError: missing or invalid.
        """
        try:
            values = json.loads((folder / SPEC_FILE).read_text("utf-8"))
            return cls.model_validate({**values, "model": str(folder)})
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{folder / SPEC_FILE}: not a readable encoder spec: {error}") from error


class Encoder(Protocol):
    """Texts in, float32 vectors of shape [texts, dimensions] out, normalised if the spec says so."""

    @property
    def spec(self) -> EncoderSpec: ...
    def encode(self, texts: Sequence[str], role: Role) -> Vectors: ...
