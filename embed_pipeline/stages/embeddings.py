"""Which embeddings in a home's cache can still be asked for."""

from collections.abc import Callable, Iterable

from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.settings import Settings
from embed_pipeline.store.artifacts import Artifact

ENCODERS = "encoders"
"""File of an artifact that names further encoders by their version."""
TEACHER = "teacher_encoder"
"""In the summary of a model: the encoder of the endpoint that it was distilled from."""


def encoders_in_use(settings: Settings) -> Callable[[Iterable[Artifact]], set[str]]:
    """A function of artifacts: the names of the embeddings folders of their models and base models.

    The base model of the settings is always among them.
    """

    def used(artifacts: Iterable[Artifact]) -> set[str]:
        from embed_pipeline.encoders.cached_encoder import folder_name

        found = {folder_name(version) for version in _base_model(settings)}
        for artifact in artifacts:
            found |= {folder_name(version) for version in _versions(artifact)}
        return found

    return used


def _base_model(settings: Settings) -> list[str]:
    from embed_pipeline.encoders.base_model import base_encoder_spec

    try:
        return [base_encoder_spec(settings.base_model, settings.encoder).version()]
    except EmbedPipelineError:
        return []  # it is not there; doctor tells it


def _versions(artifact: Artifact) -> list[str]:
    """Of the model that an artifact holds, of what it was made with (base model, a teacher's endpoint), and of
    candidates it measured.
    """
    from embed_pipeline.encoders.spec import SPEC_FILE, EncoderSpec

    try:
        manifest = artifact.manifest()
        found = [manifest.external.get("base_model"), manifest.summary.get(TEACHER)]
        if (artifact.path / SPEC_FILE).is_file():
            found.append(EncoderSpec.load(artifact.path).version())
        if (artifact.path / f"{ENCODERS}.json").is_file():
            found += artifact.json(ENCODERS).values()
    except EmbedPipelineError:
        return []
    return [version for version in found if version is not None]
