"""Finding every stage that a module of this folder declares, and putting them in the order of the data."""

import heapq
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from importlib import import_module

from embed_pipeline import stages
from embed_pipeline.stages.declare import Stage


def declared_stages() -> Iterator[Stage]:
    """The stages of the modules of this folder, module by module, in the order in which they stand there."""
    for found in pkgutil.iter_modules(stages.__path__, f"{stages.__name__}."):
        for value in vars(import_module(found.name)).values():
            if isinstance(value, Stage) and value.compute.__module__ == found.name and not value.alternative:
                yield value


def in_order(found: Iterable[Stage], groups: Sequence[str]) -> dict[str, Stage]:
    """Stages by name, each after everything it needs; where that leaves a choice, in the order of ``groups``.

    Other groups come last, and stages of one group as they stand in ``found``.

    Raises:
        ValueError: two stages have one name, one takes what no stage gives, or they take each other.
    """
    by_name, rank = _checked(found), {}
    for place, one in enumerate(by_name.values()):
        rank[one.name] = (groups.index(one.group) if one.group in groups else len(groups), place)
    sorter = TopologicalSorter({name: one.upstream for name, one in by_name.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        raise ValueError(f"stages take each other: {', '.join(error.args[1])}") from error
    ready: list[tuple[tuple[int, int], str]] = []
    ordered = {}
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (rank[name], name))
        _, name = heapq.heappop(ready)
        ordered[name] = by_name[name]
        sorter.done(name)
    return ordered


def leading_to(names: Iterable[str], graph: Mapping[str, Stage]) -> list[str]:
    """``names`` and everything they need, in the order of ``graph``."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += graph[name].upstream
    return [name for name in graph if name in needed]


def _checked(found: Iterable[Stage]) -> dict[str, Stage]:
    by_name: dict[str, Stage] = {}
    for one in found:
        if one.name in by_name:
            modules = (by_name[one.name].compute.__module__, one.compute.__module__)
            raise ValueError(f"two stages are called {one.name}: in {' and in '.join(modules)}")
        by_name[one.name] = one
    for one in by_name.values():
        unknown = [name for name in one.upstream if name not in by_name]
        if unknown:
            raise ValueError(f"{one.name} takes {', '.join(unknown)}, which no stage gives")
    return by_name
