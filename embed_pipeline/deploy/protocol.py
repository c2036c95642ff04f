"""What a deploy target is: the place that serves a release, whatever it is made of."""

from typing import Protocol, TypedDict

from embed_pipeline.store.releases import Release


class Endpoint(TypedDict):
    """A release that is served.

    Attributes:
        url: of the server, without ``/v1``.
        model: name that clients pass as ``model``.
        target: name of the target that serves it, see :data:`embed_pipeline.deploy.targets.TARGETS`.
    """

    url: str
    model: str
    release_id: str
    model_version: str
    target: str


class Target(Protocol):
    """Serves one release of one home at a time. Made of the home and the deploy settings."""

    def deploy(self, release: Release) -> Endpoint:
        """Serve ``release`` in place of the one before; returns when it answers.

        Raises:
            DeployError: it cannot be served; the release before, if there is one, is served as it was.
        """

    def is_serving(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint's release answers right now, where the settings of this target want it."""

    def roll_back(self, release_id: str) -> str | None:
        """Serve the release before ``release_id`` again, if that is the one served.

        Returns:
            The release id now served, or None when there is no earlier one (the release then stays).
        """

    def stop(self) -> bool:
        """End this home's endpoint, after the requests that are under way; whether there was one."""
