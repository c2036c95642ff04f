"""The deploy targets: one class and one line each."""

from collections.abc import Callable
from pathlib import Path

from embed_pipeline.deploy.local import LocalTarget
from embed_pipeline.deploy.protocol import Target
from embed_pipeline.errors import DeployError
from embed_pipeline.settings import DeploySettings

TARGETS: dict[str, Callable[[Path, DeploySettings], Target]] = {"local": LocalTarget}
"""By the value of ``deploy.target``."""


def open_target(name: str, home: Path, settings: DeploySettings) -> Target:
    """The target ``name`` of a home.

    Args:
        name: ``deploy.target``, or the target that an endpoint names.

    Raises:
        DeployError: there is none of that name, for example since another version deployed the endpoint.
    """
    if name not in TARGETS:
        raise DeployError(f"deploy.target {name} is unknown here; there are {', '.join(TARGETS)}.")
    return TARGETS[name](home, settings)
