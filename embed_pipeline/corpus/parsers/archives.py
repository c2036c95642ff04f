"""Documents that are zip archives: what to look at before they are unpacked."""

import io
import zipfile

from embed_pipeline.corpus.parsers.blocks import UnreadableError

_MAX_UNPACKED = 1_000_000_000
_OLE = b"\xd0\xcf\x11\xe0"


def checked_zip(data: bytes, name: str) -> None:
    """Look whether an archive can be unpacked.

    Args:
        name: of the format, for the reason.

    Raises:
        UnreadableError: encrypted, no zip archive, or larger than 1 GB unpacked.
    """
    if data.startswith(_OLE):
        raise UnreadableError(f"an encrypted {name}, or one of the format before it")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile as error:
        raise UnreadableError(f"not a valid {name}") from error
    if unpacked > _MAX_UNPACKED:
        raise UnreadableError("unpacks to more than 1 GB")
