"""What goes wrong with an address, in one sentence that says what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from embed_pipeline.corpus.addresses.listing import OutOfTimeError
from embed_pipeline.errors import EmbedPipelineError, InputError, disk_full
from embed_pipeline.text.addresses import taken_apart

_SHOWN = 200
_KEYS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; FSSPEC_S3_ANON=true for a public bucket",
    "hf": "HF_TOKEN",
}
_REFUSED = ("NoCredentialsError", "PartialCredentialsError", "PermissionError", "CredentialRetrievalError")
_UNREACHABLE = (
    *("ConnectionError", "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "TimeoutError"),
    *("ConnectError", "ClientConnectorError", "ClientError", "FSTimeoutError", "TransportError", "HTTPClientError"),
)
MEANWHILE = "changed while it was being fetched; run again"


class ChangedError(Exception):
    """A file is no longer the one that was listed, or ended too early."""


@contextmanager
def telling(address: str) -> Iterator[None]:
    """Errors of libraries become ours.

    Raises:
        InputError: with the address and what to do.
    """
    try:
        yield
    except (EmbedPipelineError, OutOfTimeError):
        raise
    except Exception as error:
        if disk_full(error, "") is not None:
            raise
        raise refusal(address, error) from error


def refusal(address: str, error: BaseException) -> InputError:
    """The sentence about an error."""
    kinds = {cause.__name__ for one in _chain(error) for cause in type(one).__mro__}
    scheme = taken_apart(address).scheme
    if isinstance(error, ChangedError):
        return InputError(f"{address}: {error}.")
    if not kinds.isdisjoint(_REFUSED):
        keys = _KEYS.get(scheme, "as fsspec's file system of this kind reads them")
        return InputError(f"{address}: access is refused. Credentials come from the environment ({keys}).")
    if "FileNotFoundError" in kinds:
        return InputError(f"{address}: there is nothing at this address. Correct corpus.path.")
    if not kinds.isdisjoint(_UNREACHABLE):
        return InputError(
            f"{address}: cannot be reached ({type(error).__name__}). Check the network and the address, then run "
            "again; what was fetched is kept."
        )
    reason = " ".join(str(error).split())[:_SHOWN]
    return InputError(f"{address}: cannot be read ({type(error).__name__}: {reason}).")


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
