"""YAML as settings are written in it: dates are text, and a key that stands twice is an error."""

from typing import Any

import yaml

from embed_pipeline.errors import SettingsError

_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_SHOWN = 200


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without dates (no setting is one), and with keys that stand once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Looks before merge keys (``<<``) are resolved, which put the same name into a mapping twice."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise SettingsError(f"{key.value} stands twice, in line {seen[key.value]} and in line {line}.")
                seen[key.value] = line
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str, where: str) -> Any:
    """The value of a YAML text.

    Args:
        where: file or option, for errors.

    Raises:
        SettingsError: it is not YAML, a key stands twice, or a value cannot be what its tag says.
    """
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
        _refuse_cycles(value)
        return value
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{where}: not valid YAML: {_short(error)}") from None
    except RecursionError:
        raise SettingsError(f"{where}: not valid settings: nested too deeply.") from None
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise SettingsError(f"{where}: a value cannot be read: {_short(error)}.") from None


def _refuse_cycles(value: Any, inside: tuple[int, ...] = ()) -> None:
    """A section that holds itself, by an anchor and its alias, never ends."""
    if id(value) in inside:
        raise SettingsError("a section holds itself, by an anchor and its alias.")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        if isinstance(child, dict | list):
            _refuse_cycles(child, (*inside, id(value)))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHOWN] or type(error).__name__
