"""Data sets that are written in parts, as Hugging Face datasets, Spark and Dask name them: which part is missing.

::

    train-00000-of-00002.parquet, train-00000-of-00002-a09b74b3ef9c3b56.parquet    Hugging Face
    part-00000-6f1c-c000.snappy.parquet                                            Spark
    part.0.parquet                                                                 Dask
    0000.parquet, 0001.parquet; train_0.jsonl, train-01.jsonl                      by others

Spark leaves empty parts out and does not say how many there are, so none of its parts is ever missing.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from embed_pipeline.errors import InputError

_OF = re.compile(r"(?P<name>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(-[0-9a-f]{16})?")
_COUNTED = re.compile(r"(?P<name>(?:.*[-_.])?)(?P<number>\d{1,9})")
_OF_A_JOB = re.compile(r"part[-.]\d+.*")
_OF_DASK = re.compile(r"part\.(?P<number>\d+)")


def data_set(file: Path) -> str:
    """Equal for the parts of one data set and for no others in a folder; the file's name if it is no part."""
    part = _OF.fullmatch(file.stem)
    if part is not None:
        return f"{part['name']}-of-{part['count']}{file.suffix}"
    return f"part{file.suffix}" if _OF_A_JOB.fullmatch(file.stem) else file.name


def data_sets(files: Sequence[Path], what: str) -> dict[str, list[Path]]:
    """Files of one folder by the data set they belong to.

    Besides the parts that :func:`data_set` knows, files whose names differ in a number at the end alone are parts of
    one if they are counted from 0, or from 1 with leading zeros; ``train_1`` and ``train_2`` may be versions.

    Raises:
        InputError: a number of such files is missing.
    """
    sets: dict[str, list[Path]] = {}
    for file in files:
        sets.setdefault(data_set(file), []).append(file)
    counted: dict[str, dict[str, Path]] = {}
    for name, parts in sets.items():
        found = _COUNTED.fullmatch(parts[0].stem) if len(parts) == 1 and name == parts[0].name else None
        if found is not None:
            counted.setdefault(f"{found['name']}*{parts[0].suffix}", {})[found["number"]] = parts[0]
    for name, numbered in counted.items():
        if _are_counted(numbered):
            for file in numbered.values():
                del sets[file.name]
            sets[name] = _in_order({int(number): file for number, file in numbered.items()}, what)
    return sets


def _are_counted(numbers: Collection[str]) -> bool:
    lowest = min(numbers, key=int)
    padded = lowest.startswith("0") and len({len(number) for number in numbers}) == 1
    return len(numbers) > 1 and (int(lowest) == 0 or (int(lowest) == 1 and padded))


def _in_order(numbered: Mapping[int, Path], what: str) -> list[Path]:
    missing = next((number for number in range(min(numbered), max(numbered)) if number not in numbered), None)
    if missing is not None:
        file = numbered[max(numbered)]
        raise InputError(
            f"{file.parent}: the {what} is counted to {file.name}, but number {missing} is not there, is empty or "
            "holds something else. Put it beside the others, or name the file to use."
        )
    return [numbered[number] for number in sorted(numbered)]


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
