"""``embed-pipeline doctor`` on a home: version, who uses it, what is damaged, what runs by itself."""

import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from embed_pipeline.cli.packages import Finding, finding
from embed_pipeline.errors import HomeError
from embed_pipeline.files import size_of
from embed_pipeline.settings import Settings
from embed_pipeline.store.databases import damage, databases
from embed_pipeline.store.health import damaged_artifacts, damaged_releases, holder, leftovers
from embed_pipeline.store.home import check_home, is_home, why_not_writable
from embed_pipeline.store.restore import left_by_restore

if TYPE_CHECKING:
    import dagster as dg

SILENT_SECONDS = 300
"""A daemon that has not been heard of for so long is not running."""


def examine_home(home: Path, settings: Settings | None, deep: bool = False) -> list[Finding]:
    """Findings about a home.

    Args:
        settings: None when they cannot be read; then the endpoint and the corpus are left out.
        deep: read every byte of artifacts and databases.
    """
    version = _version(home)
    findings = [version]
    if version["state"] != "fail" and is_home(home):
        broken = [_damaged(path, text) for path in databases(home) if (text := damage(path, deep)) is not None]
        findings += [_lock(home), *_artifacts(home, deep), *_releases(home), *_leftovers(home)]
        findings += broken or [finding("databases", "ok", f"{len(databases(home))} read")]
        openable = why_not_writable(home) is None and not any("/dagster/" in one["detail"] for one in broken)
        findings += _dagster(home) if openable else []
    findings += _beside(home)
    if settings is not None:
        findings += _corpus(home, settings)
        findings += _endpoint(home, settings) if is_home(home) else []
    return findings


def _version(home: Path) -> Finding:
    try:
        mark = check_home(home)
    except HomeError as error:
        return finding("home version", "fail", str(error))
    if mark is not None:
        return finding("home version", "ok", f"{mark.version}, made or marked {mark.created}")
    if is_home(home):
        return finding("home version", "ok", "made before homes had one; the next run marks it")
    return finding("home version", "ok", f"{home} is no home yet; the first run makes it one")


def _lock(home: Path) -> Finding:
    who = holder(home)
    return finding("lock", "ok", f"held by {'a process' if who is True else who}" if who else "nobody holds the home")


def _artifacts(home: Path, deep: bool) -> Iterator[Finding]:
    damaged = list(damaged_artifacts(home, deep))
    for artifact, wrong in damaged:
        again = "the next run makes it again"
        if artifact.asset.endswith(("qa_candidates", "qa_pairs")):
            again += "; replies of the language model are taken from the cache"
        named = f"{artifact.asset} {artifact.version[:12]}".rstrip()
        yield finding("artifacts", "warn", f"{named}: {wrong}; {again}")
    if not damaged:
        yield finding("artifacts", "ok", f"those in use are whole ({'every byte' if deep else 'sizes; --deep: bytes'})")


def _releases(home: Path) -> Iterator[Finding]:
    yield from (finding("releases", "fail", wrong) for wrong in damaged_releases(home))


def _leftovers(home: Path) -> Iterator[Finding]:
    count, size = leftovers(home)
    if count:
        what = f"{count} half-written folders of killed runs, {size / 1e6:.1f} MB; embed-pipeline gc removes them"
        yield finding("leftovers", "warn", what)


def _beside(home: Path) -> Iterator[Finding]:
    half, replaced = left_by_restore(home)
    for path in half:
        what = f"{path}: half a home of a killed restore, {size_of(path) / 1e6:.1f} MB; remove it"
        yield finding("restore", "warn", what)
    for path in replaced:
        if home.exists():
            yield finding("restore", "warn", f"{path}: the home before a restore that was killed at its end; remove it")
        else:
            back = f"mv {shlex.quote(str(path))} {shlex.quote(str(home))}"
            yield finding(
                "restore", "fail", f"{path}: the home that a killed restore would replace; bring it back: {back}"
            )


def _damaged(path: Path, text: str) -> Finding:
    return finding("databases", "warn" if path.suffix == ".db" else "fail", text)


def _corpus(home: Path, settings: Settings) -> Iterator[Finding]:
    if settings.corpus.folder is None:
        return
    corpus = settings.corpus.folder.resolve()
    if corpus.is_relative_to(home.resolve()):
        yield finding("corpus and home", "fail", f"the corpus {corpus} lies in the home {home}; move it out of there")
    elif home.resolve().is_relative_to(corpus):
        yield finding(
            "corpus and home", "warn", f"the home {home} lies in the corpus {corpus}; --home elsewhere is safer"
        )


def _endpoint(home: Path, settings: Settings) -> Iterator[Finding]:
    from embed_pipeline.deploy.targets import open_target
    from embed_pipeline.errors import EmbedPipelineError
    from embed_pipeline.store.artifacts import Store

    endpoint = Store(home).current("endpoint")
    if endpoint is None:
        return
    try:
        facts = endpoint.json("endpoint")
        serves = open_target(facts["target"], home, settings.deploy).is_serving(facts)
    except (OSError, ValueError, KeyError, EmbedPipelineError) as error:
        yield finding(
            "endpoint", "warn", f"nobody knows what is served ({error}); embed-pipeline deploy serves it again"
        )
        return
    served = f"{facts['url']} serves release {facts['release_id']}"
    stopped = f"{facts['url']} does not serve release {facts['release_id']}; embed-pipeline deploy starts it again"
    yield finding("endpoint", "ok" if serves else "warn", served if serves else stopped)


def _dagster(home: Path) -> list[Finding]:
    if not (home / "dagster" / "history").is_dir():
        return []
    import dagster as dg

    from embed_pipeline.store.dagster_home import prepare_dagster_home

    prepare_dagster_home(home)
    with dg.DagsterInstance.get() as instance:
        return [*_unfinished_runs(home, instance), *_automation(instance)]


def _unfinished_runs(home: Path, instance: "dg.DagsterInstance") -> Iterator[Finding]:
    """Whoever really runs holds the home."""
    import dagster as dg

    under_way = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    runs = instance.get_runs(dg.RunsFilter(statuses=under_way))
    if runs and not holder(home):
        ids = ", ".join(run.run_id[:8] for run in runs)
        yield finding("runs", "warn", f"{ids}: killed, though shown as under way; the next run reports them as failed")


def _automation(instance: "dg.DagsterInstance") -> Iterator[Finding]:
    from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus

    for state in instance.all_instigator_state():
        if state.status != InstigatorStatus.RUNNING:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        if ticks and ticks[0].status == TickStatus.FAILURE:
            said = ticks[0].error.message.strip().splitlines()[0] if ticks[0].error else "no reason"
            yield finding("automation", "fail", f"{state.name} is on, but its last look failed: {said[:200]}")
        elif not ticks or time.time() - ticks[0].timestamp > SILENT_SECONDS:
            yield finding("automation", "warn", f"{state.name} is on, but nothing runs it; start embed-pipeline ui")
        else:
            yield finding("automation", "ok", f"{state.name} is on")
