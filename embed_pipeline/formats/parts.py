"""Data sets that are written in parts, as Hugging Face datasets, Spark and Dask name them: which part is missing.

::

    train-00000-of-00002.parquet, train-00000-of-00002-a09b74b3ef9c3b56.parquet    Hugging Face
    part-00000-6f1c-c000.snappy.parquet                                            Spark
    part.0.parquet                                                                 Dask

Spark leaves empty parts out and does not say how many there are, so none of its parts is ever missing.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from embed_pipeline.errors import InputError

_OF = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(-[0-9a-f]{16})?")
_OF_A_JOB = re.compile(r"part[-.]\d+.*")
_OF_DASK = re.compile(r"part\.(?P<number>\d+)")


def data_set(file: Path) -> str:
    """Equal for the parts of one data set and for no others in a folder; the file's name if it is no part."""
    part = _OF.fullmatch(file.stem)
    if part is not None:
        return f"{part['name']}-of-{part['count']}{file.suffix}"
    return f"part{file.suffix}" if _OF_A_JOB.fullmatch(file.stem) else file.name


def refuse_missing_parts(files: Iterable[Path], what: str) -> None:
    """Refuse files of a folder that are some of the parts of a data set.

    Args:
        files: the files that are to be read.
        what: what they hold, for the error message.

    Raises:
        InputError: a part is not there, or lies in the folder but is not among the files; names it.
    """
    sets: dict[str, list[Path]] = {}
    for file in files:
        sets.setdefault(data_set(file), []).append(file)
    for parts in sets.values():
        _refuse_missing(parts, what)


def _refuse_missing(files: Sequence[Path], what: str) -> None:
    folder, suffix = files[0].parent, files[0].suffix
    numbered = {int(part["number"]): part for file in files if (part := _part(file)) is not None}
    if not numbered:
        return
    first = next(iter(numbered.values()))
    counted = first.groupdict().get("count")
    count = int(counted) if counted else max(numbered) + 1
    missing = [number for number in range(count) if number not in numbered]
    for file in sorted(folder.iterdir()) if missing else ():
        part = _part(file) if data_set(file) == data_set(files[0]) else None
        if part is not None and int(part["number"]) in missing:
            raise InputError(
                f"{file}: this part of the {what} is empty, unreadable or holds something else than the other parts. "
                "Write or download it again, or name the file to use."
            )
    if missing:
        name = f"{first['name']}-{missing[0]:05d}-of-{counted}" if counted else f"part.{missing[0]}"
        raise InputError(
            f"{folder}: of the {count} parts of the {what} {len(missing)} are not there, the first {name}{suffix}. "
            "Put them beside the others, or name the file to use."
        )


def _part(file: Path) -> re.Match[str] | None:
    return _OF.fullmatch(file.stem) or _OF_DASK.fullmatch(file.stem)
