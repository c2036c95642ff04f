"""What a run will need of time, disk and memory, compared with what is there, before anything is computed.

Of an asset that was computed before, the last run says it: its seconds and bytes, in proportion to the corpus. Of one
that was not, nobody knows the seconds; its bytes follow from the sizes of corpus and model. Memory follows from the
model and the batches in any case. How the figures below were measured stands in docs/operations.md.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from embed_pipeline.errors import ArtifactError, DiskFullError, InputError
from embed_pipeline.files import existing_part
from embed_pipeline.progress import spoken
from embed_pipeline.settings import CorpusSettings, Settings
from embed_pipeline.stages.model_size import ModelSize, base_model_size, training_bytes
from embed_pipeline.stages.plan import PlanStep
from embed_pipeline.store.artifacts import Manifest, Store
from embed_pipeline.store.names import plain_name

PROCESS_BYTES = 1_000_000_000
"""A run with its libraries and a model of a few megabytes."""
TABLE_SHARE = 15.0
"""Bytes of all tables, exports and histories together for a byte of text."""
TEXT_SHARE = {".pdf": 0.1, ".docx": 0.2, ".html": 0.5, ".htm": 0.5}
"""Text in a byte of a file; 1 of any other."""
MODELS = {
    "checkpoint": 1.0,
    "reranker": 1.0,
    "onnx_model": 1.0,
    "onnx_int8_model": 0.7,
    "endpoint": 1.0,
    "tensorrt_engine": 1.0,
}
"""Copies of the model that an asset writes; the endpoint's is its release."""
TRAINED = ("checkpoint", "reranker")
TRAINING_COPIES = 9.0
"""Copies of the model that a training holds on the disk: three checkpoints with the optimizer's two moments each."""
EXPORT_COPIES = 4.0
CLEARLY = 1.25
"""A disk that is too small by so much is refused."""
SPARE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Needs:
    """What a run will need, and what there is.

    Attributes:
        seconds: None when an asset to be computed has no earlier run to go by.
        disk_bytes: what the home grows by, at most; what is removed again when a stage is done included.
        memory_bytes: at its peak.
        unknown: assets without an earlier run.
    """

    seconds: float | None
    disk_bytes: int
    memory_bytes: int
    free_disk_bytes: int
    free_memory_bytes: int
    unknown: tuple[str, ...]

    def line(self) -> str:
        """The same in one line."""
        time = f"about {spoken(self.seconds)}" if self.seconds is not None else "time unknown (no earlier run to go by)"
        return (
            f"{time}, up to {_gb(self.disk_bytes)} disk and {_gb(self.memory_bytes)} memory; "
            f"{_gb(self.free_disk_bytes)} disk and {_gb(self.free_memory_bytes)} memory are free"
        )

    def warnings(self, home: Path) -> list[str]:
        """What may not suffice."""
        found = []
        if self.disk_bytes + SPARE_BYTES > self.free_disk_bytes:
            found.append(f"the disk of {home} may become full; embed-pipeline gc --plan says what could be removed")
        if self.memory_bytes > self.free_memory_bytes:
            found.append("memory may not suffice; finetune.grad_cache: on and smaller batches need less")
        return found

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def estimate_needs(steps: Mapping[str, PlanStep], settings: Settings, store: Store) -> Needs:
    """What a run of these steps will need."""
    computing = [name for name, step in steps.items() if step.action == "compute"]
    free = (shutil.disk_usage(existing_part(store.home)).free, free_memory())
    if not computing:
        return Needs(0.0, 0, 0, *free, ())
    before = {name: found for name in computing if (found := _last(store, name)) is not None}
    text = text_bytes(settings.corpus) or _bytes_at_address(settings, store.home)
    growth = _growth(store, text)
    model = base_model_size(settings)
    disk = sum(_bytes(manifest) * (growth if not _is_model(name) else 1.0) for name, manifest in before.items())
    unknown = tuple(name for name in computing if name not in before)
    if any(not _is_model(name) for name in unknown):
        disk += text * TABLE_SHARE
    disk += sum(MODELS[_plain(name)] * model.bytes for name in unknown if _is_model(name))
    trains = any(_plain(name) in TRAINED for name in computing)
    disk += TRAINING_COPIES * model.bytes if trains else 0
    seconds = sum(manifest.seconds * growth for manifest in before.values()) if not unknown else None
    return Needs(
        round(seconds, 1) if seconds is not None else None,
        int(disk),
        _memory(computing, trains, settings, model),
        *free,
        unknown,
    )


def require_room(needs: Needs, home: Path) -> None:
    """Refuse a run that would fill the disk.

    Raises:
        DiskFullError: it clearly would.
    """
    if needs.disk_bytes > CLEARLY * needs.free_disk_bytes:
        raise DiskFullError(
            f"{home}: the run needs about {_gb(needs.disk_bytes)}, and {_gb(needs.free_disk_bytes)} are free. Free "
            "some space (embed-pipeline gc removes what nothing needs) or choose another --home; nothing was computed."
        )


def text_bytes(corpus: CorpusSettings) -> int:
    """About how much text of a corpus would be read, told from the names and sizes of the files that belong to it.

    0 where there is none on this machine, and where it cannot be listed, which the run itself tells.
    """
    if corpus.folder is None:
        return 0
    from embed_pipeline.corpus.selection import selection_of
    from embed_pipeline.corpus.walk import found_in, open_source

    selection = selection_of(corpus)
    try:
        source = open_source(corpus.folder, selection)
        found = found_in(source, selection)
    except InputError:
        return 0
    of_files = source.kind == "files"
    read = [one for one in found if one.stat is not None and (not of_files or selection.is_document(one))]
    sizes = ((Path(one.path).suffix.lower(), one.stat.st_size) for one in read if one.stat is not None)
    return int(sum(size * TEXT_SHARE.get(suffix, 1.0) for suffix, size in sizes))


def _bytes_at_address(settings: Settings, home: Path) -> int:
    """The same of an address, as it is listed."""
    if settings.corpus.address is None:
        return 0
    from embed_pipeline.stages.corpus import corpus_listing

    listing = corpus_listing(settings, home).filter(status="read").select("path", "bytes").iter_rows()
    return int(sum(size * TEXT_SHARE.get(Path(path).suffix.lower(), 1.0) for path, size in listing))


def free_memory() -> int:
    """Memory that is available to this process, in a container at most what is left of its limit."""
    available = int(psutil.virtual_memory().available)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return available if limit == "max" else max(0, min(available, int(limit) - used))
    except (OSError, ValueError):
        return available


def _memory(computing: list[str], trains: bool, settings: Settings, model: ModelSize) -> int:
    loaded = 2 * model.bytes
    if trains:
        loaded = max(loaded, training_bytes(settings, model))
    if any(_plain(name).startswith("onnx") for name in computing):
        loaded = max(loaded, int(EXPORT_COPIES * model.bytes))
    return PROCESS_BYTES + loaded


def _last(store: Store, asset: str) -> Manifest | None:
    artifact = store.current(asset)
    try:
        return artifact.manifest() if artifact is not None else None
    except ArtifactError:
        return None


def _growth(store: Store, text: int) -> float:
    """How much larger the corpus is than when its documents were last read."""
    manifest = _last(store, "documents")
    characters = manifest.summary.get("characters") if manifest is not None else None
    return max(1.0, text / characters) if isinstance(characters, int) and characters > 0 else 1.0


def _bytes(manifest: Manifest) -> int:
    copies = 2 if "release_id" in manifest.summary else 1
    return copies * sum(entry.bytes for entry in manifest.files.values())


def _plain(asset: str) -> str:
    """Without the names of variant and round."""
    name = plain_name(asset)
    return "checkpoint" if name.startswith("checkpoint_") else name


def _is_model(asset: str) -> bool:
    return _plain(asset) in MODELS


def _gb(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
