"""Writing values into a settings file that people keep: only the lines of these values change, comments stay.

The places come from YAML's own parser; what was written is read back, so that nothing else can have changed its
meaning. (A dump of the whole file, by a library that keeps comments, would indent and space it anew.)
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from embed_pipeline.errors import SettingsError
from embed_pipeline.files import write_text
from embed_pipeline.settings.settings_yaml import read_yaml

_WIDTH = 1_000_000
"""Of a value that is written: it is not folded."""


def set_values(file: Path, values: Mapping[str, Any]) -> list[str]:
    """Write settings into a file; what else stands in it stays as it is, to the letter.

    Args:
        file: made anew if there is none; where it is a link, what it leads to is written.
        values: dotted setting -> plain value (text, number, boolean, null, list, mapping).

    Returns:
        The lines that changed, as a diff tells them: ``"-  epochs: 1"``, ``"+  epochs: 2"``; none when the file says
        so already, and then it is not touched.

    Raises:
        SettingsError: the file cannot be read or written, or is written in a way (a shared anchor) in which these
            values cannot be changed alone; it is left as it was.
    """
    before = _read(file)
    after = edited(before, values, str(file))
    if after == before:
        return []
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file.resolve(), after)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be written: {error.strerror or error}.") from None
    return changed_lines(before, after)


def changed_lines(before: str, after: str) -> list[str]:
    """The lines of a diff, without its headings."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))
    return [line for line in lines[2:] if not line.startswith("@@")]


def edited(text: str, values: Mapping[str, Any], where: str) -> str:
    """A settings file's text with ``values`` (dotted setting -> value) in it.

    Args:
        where: the file, for errors.

    Raises:
        SettingsError: as :func:`set_values`.
    """
    before = read_yaml(text, where)
    if before is not None and not isinstance(before, dict):
        raise SettingsError(f"{where}: must hold sections such as corpus: or finetune:.")
    wanted, new = before or {}, text
    for name, value in values.items():
        wanted = _merged(wanted, name.split("."), value, where)
        if read_yaml(new, where) != wanted:
            new = _with_value(new, name.split("."), _plain(value))
        if not _says(new, wanted):
            raise SettingsError(
                f"{where}: {name} cannot be set there without changing something else (an anchor?); write it by hand."
            )
    return new


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", newline="") as stream:  # its line ends stay
            return stream.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read: {error}.") from None


def _merged(before: Mapping[str, Any], names: Sequence[str], value: Any, where: str) -> dict[str, Any]:
    first, *rest = names
    if not rest:
        return {**before, first: _plain(value)}
    inner = before.get(first)
    if inner is not None and not isinstance(inner, dict):
        raise SettingsError(f"{where}: {first} is no section, so {'.'.join(names)} cannot be set in it.")
    return {**before, first: _merged(inner or {}, rest, value, where)}


def _says(text: str, wanted: Mapping[str, Any]) -> bool:
    try:
        return bool(read_yaml(text, "what was written") == wanted)
    except SettingsError:
        return False


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _with_value(text: str, names: Sequence[str], value: Any) -> str:
    """The text with one value set: in its place, else at the end of the innermost section that there is."""
    section = yaml.compose(text, yaml.SafeLoader)
    if section is None:  # nothing but comments
        return _after_line(text, len(text), _block(names, value, "", _step(None)))
    outer = 0
    for depth, name in enumerate(names):
        key, held = next(((key, held) for key, held in section.value if key.value == name), (None, None))
        if key is None:
            return _inserted(text, section, names[depth:], value)
        if depth == len(names) - 1:
            return _replaced(text, key, held, _inline(value))
        if not isinstance(held, yaml.MappingNode):  # null: a section without a line
            nested = _nested(names[depth + 1 :], value)
            if section.flow_style:
                return _replaced(text, key, held, _inline(nested))
            indent = " " * (key.start_mark.column + (key.start_mark.column - outer or _step(section)))
            lines = _block(names[depth + 1 :], value, indent, _step(section))
            emptied = text[: held.start_mark.index] + text[held.end_mark.index :]
            return _after_line(emptied, held.start_mark.index, lines)
        outer, section = key.start_mark.column, held
    raise AssertionError("a setting has a name")


def _inserted(text: str, section: yaml.MappingNode, names: Sequence[str], value: Any) -> str:
    if section.flow_style:
        place = section.end_mark.index - 1
        pair = _inline(_nested(names, value))[1:-1]
        return text[:place].rstrip() + (f", {pair}" if section.value else pair) + text[place:]
    first, _ = section.value[0]
    lines = _block(names, value, " " * first.start_mark.column, _step(section))
    return _after_line(text, _end(text, section), lines)


def _replaced(text: str, key: yaml.Node, held: yaml.Node, new: str) -> str:
    start, end = held.start_mark.index, _end(text, held)
    if held.start_mark.line == key.end_mark.line:
        return text[:start] + (" " if text[start - 1] == ":" else "") + new + text[end:]
    colon = text.index(":", key.end_mark.index) + 1  # the value begins on a line of its own
    first, after = text.rindex("\n", 0, start) + 1, text.find("\n", end)
    return f"{text[:colon]} {new}{text[colon:first]}{text[after + 1 :] if after >= 0 else ''}"


def _end(text: str, node: yaml.Node) -> int:
    """Where a value ends; the marks of blocks are behind the comments that follow them."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        if isinstance(node, yaml.SequenceNode):
            return _end(text, node.value[-1])
        key, held = node.value[-1]
        end: int = key.end_mark.index  # an alias has the place of its anchor
        return max(end, _end(text, held))
    start, end = node.start_mark.index, node.end_mark.index
    return start + len(text[start:end].rstrip()) if end > start else end


def _after_line(text: str, place: int, lines: Iterator[str]) -> str:
    """``lines`` after the line of a place in the text."""
    newline = "\r\n" if "\r\n" in text else "\n"
    end = text.find("\n", place)
    head, tail = (text, "") if end < 0 else (text[: end + 1], text[end + 1 :])
    head += newline if head and not head.endswith("\n") else ""
    return head + "".join(line + newline for line in lines) + tail


def _block(names: Sequence[str], value: Any, indent: str, step: int) -> Iterator[str]:
    for depth, name in enumerate(names[:-1]):
        yield f"{indent}{' ' * (step * depth)}{name}:"
    yield f"{indent}{' ' * (step * (len(names) - 1))}{names[-1]}: {_inline(value)}"


def _nested(names: Sequence[str], value: Any) -> dict[str, Any]:
    first, *rest = names
    return {first: _nested(rest, value) if rest else value}


def _step(section: yaml.MappingNode | None) -> int:
    """By how much a section of the file is indented."""
    for key, held in section.value if section is not None else ():
        if isinstance(held, yaml.MappingNode) and not held.flow_style and held.value:
            inside: int = held.value[0][0].start_mark.column - key.start_mark.column
            return inside
    return 2


def _inline(value: Any) -> str:
    """A value as it may stand anywhere on one line."""
    style = '"' if isinstance(value, str) and not value.isprintable() else None  # line ends as escapes
    listed: str = yaml.safe_dump(
        [value], default_flow_style=True, default_style=style, width=_WIDTH, allow_unicode=True, sort_keys=False
    )
    return listed.strip()[1:-1]
