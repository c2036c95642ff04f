"""A run in waves: before anything starts, which assets are to be executed now and which are up to date as they are.

An asset is decided on when the versions of everything before it are known. So what follows a content that did not
change is never started, and an asset whose pointer already names the right version is not touched at all.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.plan import PlanStep, plan_stage
from embed_pipeline.store.artifacts import Artifact, Store


@dataclass(frozen=True)
class Wave:
    """What is to be done now; nothing in it needs anything else in it.

    Attributes:
        execute: assets to execute.
        check: assets that are up to date, but must be checked before anything behind them starts.
    """

    execute: tuple[str, ...]
    check: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.execute or self.check)


def _always(_stage: Stage, _version: str) -> bool:
    return True


@dataclass
class Waves:
    """Which assets of a run come next.

    Attributes:
        graph: every stage, in the order of the data.
        chosen: the assets of this run; the others count as they are in use.
        force: assets to execute in any case.
        known_outside: whether others, the web UI for example, know this version of this stage too; an asset that
            they do not know is executed (and reused) even if it is up to date, so that they hear of it.
        checked: whether this version of this stage has passed its checks.
        up_to_date: assets that were not executed, with their version.
        blocked: assets that cannot be executed, because something before them failed.
    """

    graph: Mapping[str, Stage]
    settings: Settings
    store: Store
    chosen: Collection[str]
    force: Collection[str] = ()
    known_outside: Callable[[Stage, str], bool] = _always
    checked: Callable[[Stage, str], bool] = _always
    up_to_date: dict[str, str] = field(default_factory=dict)
    done: dict[str, str | None] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pending = [name for name in self.graph if name in self.chosen]
        self._failed: set[str] = set()

    def next(self) -> Wave:
        """The next wave; empty when there is nothing left to start.

        Call :meth:`finish` or :meth:`fail` for every asset in it before asking again.
        """
        execute, check = [], []
        for name in list(self._pending):
            declared = self.graph[name]
            upstream = [one for one in declared.upstream if one in self.chosen]
            if any(one in self._failed for one in upstream):
                self._failed.add(name)
                self.blocked.append(name)
            elif not all(one in self.done for one in upstream):
                continue
            elif (version := self._version_in_use(declared)) is None:
                execute.append(name)
            else:
                self.up_to_date[name] = version
                if self.checked(declared, version):
                    self.done[name] = version
                else:
                    check.append(name)
            self._pending.remove(name)
        return Wave(tuple(execute), tuple(check))

    def finish(self, name: str, version: str | None) -> None:
        """An asset was executed, or checked, and holds."""
        self.done[name] = version

    def fail(self, name: str) -> None:
        """An asset, or a check of it, failed: nothing behind it is started."""
        self._failed.add(name)

    def _version_in_use(self, declared: Stage) -> str | None:
        """The version of an asset that needs no execution, else None."""
        if declared.name in self.force:
            return None
        try:
            step = plan_stage(declared, self.settings, self.store, self._inputs(declared.inputs))
        except Exception:
            return None  # the asset itself tells what is wrong with it, when it is executed
        return self._unmoved(declared, step)

    def _unmoved(self, declared: Stage, step: PlanStep) -> str | None:
        pointer = self.store.pointer(declared.name)
        same = step.action == "reuse" and (pointer.get("version"), pointer.get("key")) == (step.version, step.key)
        if not same or step.version is None or not self._is_intact(declared.name, step.version):
            return None
        return step.version if self.known_outside(declared, step.version) else None

    def _is_intact(self, name: str, version: str) -> bool:
        return self.store.is_intact(self.store.handle(name, version))

    def _inputs(self, names: Iterable[str]) -> dict[str, str | None]:
        return {name: self.done[name] if name in self.done else _version(self.store.current(name)) for name in names}


def _version(artifact: Artifact | None) -> str | None:
    return artifact.version if artifact is not None else None
