"""Patterns of paths as ``.gitignore`` has them, read by pathspec.

``*.tmp``, ``drafts/``, ``/top.md``, ``docs/**/old``, ``!docs/keep.md``: the last pattern that fits a path decides, and
what lies in a folder goes with it. Paths are relative, with ``/``.
"""

from collections.abc import Iterable


class PathPatterns:
    """Compiled patterns.

    Args:
        lines: one pattern each; blank lines and those that begin with ``#`` say nothing.

    Raises:
        ValueError: one is no pattern, or could never fit anything.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        from pathspec import GitIgnoreSpec

        kept = [line for line in lines if line.strip() and not line.startswith("#")]
        for line in kept:
            _refuse_useless(line)
        self._spec = GitIgnoreSpec.from_lines([_inside_alone(line) for line in kept])

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._spec.patterns)

    def decides(self, path: str) -> bool | None:
        """True where the last pattern that fits names the path, False where it takes it back, None where none fits.

        Args:
            path: of a folder with a ``/`` at its end.
        """
        return self._spec.check_file(path).include

    def decides_entry(self, path: str) -> bool | None:
        """As :meth:`decides`, for a walk that asks for each folder before what lies in it, as git does.

        A pattern that fits a folder above the path says nothing here.
        """
        for pattern in reversed(self._spec.patterns):
            found = pattern.regex.match(path) if pattern.regex is not None else None
            above = found is not None and found.groupdict().get("ps_d") is not None and found.end("ps_d") < len(path)
            if found is not None and not above:
                return pattern.include
        return None

    def match(self, path: str) -> bool:
        """Whether the patterns name the path."""
        return bool(self.decides(path))


def checked_patterns(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a setting, each of them a pattern.

    Raises:
        ValueError: one is none.
    """
    for line in lines:
        if not line.strip() or line.startswith("#"):
            raise ValueError(f"{line!r} is no pattern of paths; take it out")
    if lines:
        PathPatterns(lines)
    return lines


def _inside_alone(line: str) -> str:
    """``a/**`` fits what lies in the folder, as git has it; pathspec also takes the folder itself for that."""
    plain = line.rstrip()
    if plain.endswith("/**/"):
        return f"{plain}*/"
    return f"{plain}/*" if plain.endswith("/**") else line


def _refuse_useless(line: str) -> None:
    from pathspec import GitIgnoreSpec

    parts = line.strip().removeprefix("!").removesuffix("/").removeprefix("/").split("/")
    try:
        useless = not {".", "..", ""}.isdisjoint(parts) or all(
            pattern.include is None for pattern in GitIgnoreSpec.from_lines([line]).patterns
        )
    except ValueError:
        useless = True
    if useless:
        raise ValueError(f"{line!r} is no pattern of paths as .gitignore has them, and would never fit any")
