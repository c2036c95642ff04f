"""A small home to search in: passages, a base model, and a checkpoint that ranks in another way; nothing is trained."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from embed_pipeline import tables
from embed_pipeline.encoders.base_model import find_base_model
from embed_pipeline.encoders.spec import EncoderSpec
from embed_pipeline.files import temporary_folder
from embed_pipeline.settings import Settings
from embed_pipeline.settings.sources import load_settings
from embed_pipeline.store.artifacts import DATA, Artifact, Store
from embed_pipeline_tests.finetune.build import NOUNS, tiny_model
from embed_pipeline_tests.store.test_artifacts import values

HOSTILE = (
    "Hostile <img src=x onerror=\"document.title='owned'\">",
    "</p><script>document.title='owned'</script> the lion & the river \u202e\x1b[31m <b>bold</b>",
)
ARABIC = ("المحرك", "كيف يعمل محرك النهر")  # right to left


def passages_table(rows: Sequence[tuple[str, str]]) -> pl.DataFrame:
    """Titles and texts, each a document of its own."""
    return tables.validate(
        tables.Passages,
        pl.DataFrame(
            [
                {
                    "passage_id": f"doc{number:02}.md#0000",
                    "doc_id": f"doc{number:02}.md",
                    "position": 0,
                    "start": 0,
                    "end": len(text),
                    "title": title,
                    "text": text,
                    "token_count": 10,
                    "group_id": f"doc{number:02}.md#0000",
                    "language": "en",
                }
                for number, (title, text) in enumerate(rows)
            ]
        ),
    )


def some_passages(count: int = 24) -> list[tuple[str, str]]:
    """Of which the first is hostile and the second is written from right to left."""
    plain = [
        (
            f"The {NOUNS[number]}",
            f"Where the {NOUNS[number]} stands, {NOUNS[number + 1]} and {NOUNS[number * 7 % len(NOUNS)]} are near.\n\n"
            + f"See also the {NOUNS[number * 3 % len(NOUNS)]}. " * 8,
        )
        for number in range(count)
    ]
    return [HOSTILE, ARABIC, *plain]


class Searchable:
    """A home with settings that fit it.

    Attributes:
        options: for a command line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.store = Store(self.home)
        base = tiny_model(folder / "base")
        other = folder / "other"
        shutil.copytree(folder / "base", other)
        _scramble(other)
        self._tuned = base.model_copy(
            update={"model": str(other), "content_sha256": find_base_model(str(other)).content_sha256}
        )
        given = [f"base_model={folder / 'base'}", "encoder.max_query_length=16", "encoder.max_passage_length=32"]
        self.options = ["--home", str(self.home), *(word for one in given for word in ("--set", one))]
        self._given = given

    def settings(self, *more: str) -> Settings:
        return load_settings(None, None, [*self._given, *more])

    def put_passages(self, rows: Sequence[tuple[str, str]], told: Sequence[tuple[str, str, str]] = ()) -> Artifact:
        """Passages in use from now on, and what is told of their documents."""
        self._put_documents(rows, told)
        with temporary_folder(self.store.staging("passages"), "new") as staged:
            (staged / DATA).mkdir()
            passages_table(rows).write_parquet(staged / DATA / "table.parquet")
            return self._use(self.store.commit(staged, values(f"{hash(tuple(rows))}", "passages")))

    def _put_documents(self, rows: Sequence[tuple[str, str]], told: Sequence[tuple[str, str, str]]) -> None:
        table = pl.DataFrame(told, schema=tables.empty(tables.Metadata).schema, orient="row")
        with temporary_folder(self.store.staging("documents"), "new") as staged:
            (staged / DATA).mkdir()
            passages_table(rows).select("doc_id", "title", "text").write_parquet(staged / DATA / "table.parquet")
            tables.validate(tables.Metadata, table).write_parquet(staged / DATA / "metadata.parquet")
            self._use(self.store.commit(staged, values(f"{hash((*rows, *told))}", "documents")))

    def put_checkpoint(self, spec: EncoderSpec | None = None) -> Artifact:
        """A checkpoint in use from now on."""
        chosen = spec or self._tuned
        with temporary_folder(self.store.staging("checkpoint"), "new") as staged:
            shutil.copytree(chosen.model, staged / DATA)
            chosen.save(staged / DATA)
            return self._use(self.store.commit(staged, values(chosen.version(), "checkpoint")))

    def _use(self, artifact: Artifact) -> Artifact:
        self.store.point(artifact, artifact.manifest().key, "computed", 1.0)
        return artifact


def searchable(folder: Path, checkpoint: bool = True) -> Searchable:
    """A home whose passages are :func:`some_passages`."""
    home = Searchable(folder)
    home.put_passages(some_passages())
    if checkpoint:
        home.put_checkpoint()
    return home


def _scramble(folder: Path) -> None:
    """Another model of the same shape."""
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    torch.manual_seed(7)
    weights = {name: weight + 0.05 * torch.randn_like(weight) for name, weight in load_file(path).items()}
    save_file(weights, path, metadata={"format": "pt"})
