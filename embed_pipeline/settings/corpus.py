"""Settings of the encoder and the corpus."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from embed_pipeline.settings.section import Section, added, runtime
from embed_pipeline.text.addresses import checked_address, is_address, local_path
from embed_pipeline.text.path_patterns import checked_patterns


class EncoderSettings(Section):
    """How the base model turns a text into a vector; empty means: as its own files say."""

    revision: str | None = Field(None, description="Revision of a hub model.", json_schema_extra={"protected": "code"})
    sha256: str | None = Field(
        None,
        description="Expected SHA-256 of the base model's model.safetensors.",
        json_schema_extra={"protected": "code"},
    )
    pooling: Literal["mean", "cls", "last"] | None = Field(None, description="Pooling over the tokens.")
    query_prompt: str | None = Field(None, description="Put before every query, verbatim, spaces included.")
    passage_prompt: str | None = Field(None, description="Put before every passage, verbatim, spaces included.")
    max_query_length: int = Field(128, ge=8, description="Tokens of a query.")
    max_passage_length: int = Field(256, ge=8, description="Tokens of a passage.")
    attention: Literal["causal", "bidirectional"] | None = Field(None, description="Attention of decoder-style models.")
    trust_remote_code: bool = Field(
        False,
        description="Run code that ships with the model. Off unless named.",
        json_schema_extra={"protected": "code"},
    )
    device: str = runtime(
        "auto", "auto, cpu, cuda, cuda:N or mps (Apple, untried).", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$"
    )
    batch_size: int = runtime(32, "Texts encoded at once.", ge=1)


class CorpusSettings(Section):
    """Reading and cutting the documents."""

    path: Path | str | None = runtime(
        None,
        "Documents, a BEIR folder (corpus.jsonl), the reference recipe's SDG records, or training data (file, folder); "
        "or an address of such (s3://bucket/folder, https://host/archive.zip, hf://owner/name, any that fsspec reads).",
        protected="path",
    )
    processes: int = runtime(0, "Processes that read documents; 0: one per core, at most 8.", ge=0)
    max_file_mb: float = Field(40.0, gt=0, description="Larger files are skipped by name.")
    include: tuple[str, ...] = added(
        (), "Patterns as of .gitignore: only files that fit belong to the corpus; empty: all do.", protected="path"
    )
    exclude: tuple[str, ...] = added(
        (),
        "Patterns as of .gitignore: files and folders that do not belong to the corpus, besides those of its "
        ".embedignore files.",
        protected="path",
    )
    columns: dict[str, str] = added(
        {},
        "Rows of a table (.csv .tsv .jsonl .json .parquet) are documents: what is told -> its column. text is needed; "
        "id and title are the document's; url, date, tags and any other name are kept beside it.",
    )
    sample: int | None = added(None, "Take this many of the documents, the same ones each time; null: all.", ge=1)
    min_document_chars: int = Field(50, ge=1, description="Documents with less text are skipped by name.")
    ocr: bool = added(False, "Read PDF pages that are pictures by text recognition (extra documents); seconds a page.")
    chunking: Literal["tokens", "sentences"] = Field(
        "tokens", description="tokens: sentences packed up to a budget; sentences: fixed groups, as the reference."
    )
    passage_tokens: int = Field(200, ge=16, description="Token budget of a passage, in base-model tokens.")
    min_passage_tokens: int = Field(24, ge=0, description="Smaller rests join their neighbour.")
    sentences_per_passage: int = Field(5, ge=1, description="Sentences of a passage, if chunking is sentences.")
    split_long_rows: bool = added(
        False,
        "Cut rows of BEIR folders and texts of training data that are longer than the encoder takes into passages; "
        "judgements follow to the piece that answers, and rows of a gold set's own corpus count as their best piece. "
        "Off: what stands behind encoder.max_passage_length is not seen.",
    )
    near_duplicate_threshold: float = Field(
        0.85,
        gt=0,
        le=1,
        description="Estimated Jaccard similarity of word 3-grams from which passages (or documents) are one group.",
    )

    @field_validator("path", mode="before")
    @classmethod
    def _is_a_path_or_an_address(cls, path: Any) -> Any:
        """Text that is no address is a path; an address without an archive of this machine is one, too."""
        if not isinstance(path, str):
            return path
        if not is_address(path):
            return Path(path)
        address = checked_address(path)
        local = local_path(address)
        return address if local is None else local

    @property
    def folder(self) -> Path | None:
        """The path on this machine, expanded; None where none is set, or an address."""
        return self.path.expanduser() if isinstance(self.path, Path) else None

    @property
    def address(self) -> str | None:
        """The address, where the corpus lies at one."""
        return self.path if isinstance(self.path, str) else None

    @field_validator("columns")
    @classmethod
    def _names_a_text(cls, columns: dict[str, str]) -> dict[str, str]:
        if columns and not columns.get("text"):
            raise ValueError("names no column of texts; add text: NAME")
        blank = next((name for name, column in columns.items() if not name.strip() or not column.strip()), None)
        if blank is not None:
            raise ValueError(f"{blank!r} has no column; name one, or take it out")
        return columns

    @field_validator("include", "exclude")
    @classmethod
    def _are_patterns(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        return checked_patterns(lines)
