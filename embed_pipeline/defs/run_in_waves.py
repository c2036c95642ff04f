"""One run, wave after wave: assets first, their checks with them, then what follows."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property

from dagster._core.definitions.data_version import CODE_VERSION_TAG, DATA_VERSION_TAG
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.executor.base import Executor
from dagster._core.system_config.objects import ResolvedRunConfig

from embed_pipeline.defs.outside import names_outside, report_outside
from embed_pipeline.defs.run_record import RunRecord
from embed_pipeline.defs.run_request import RunRequest
from embed_pipeline.defs.steps import CheckStep, Steps
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.interrupts import raise_if_stopped
from embed_pipeline.stages.waves import Wave, Waves
from embed_pipeline.store.artifacts import Store
from embed_pipeline.store.passed_checks import PassedChecks


class RunInWaves:
    """Executes a run; :meth:`events` gives its events."""

    def __init__(
        self,
        choose: Callable[[int], Executor],
        context: PlanOrchestrationContext,
        plan: ExecutionPlan,
        steps: Steps,
        request: RunRequest,
        store: Store,
        graph: Mapping[str, Stage],
        record: RunRecord,
    ) -> None:
        self._choose = choose
        self._context = context
        self._plan = plan
        self._steps = steps
        self._request = request
        self._store = store
        self._graph = graph
        self._record = record
        self._passed = PassedChecks(store.home)
        self._waves = Waves(
            graph,
            request.settings,
            store,
            chosen=request.chosen(list(steps.assets), graph),
            force=request.force,
            known_outside=self._is_recorded,
            checked=self._is_checked,
        )

    def events(self) -> Iterator[DagsterEvent]:
        """Execute."""
        if not self._request.experiment:
            report_outside(self._context.instance, self._request.settings, self._store, self._graph)
        self._record.watch(self._waves.up_to_date, self._waves.blocked)
        yield from self._execute(self._steps.others)
        while wave := self._waves.next():
            yield from self._wave(wave)
        yield from self._summary()

    def _wave(self, wave: Wave) -> Iterator[DagsterEvent]:
        self._record.executing(wave.execute)
        checks = [check for name in wave.check for check in self._unchecked(name)]
        if not self._request.experiment:
            checks += [check for name in wave.execute for check in self._steps.checks[name]]
        yield from self._execute([self._steps.assets[name] for name in wave.execute] + [one.step for one in checks])
        made = [name for name in wave.execute if self._steps.assets[name] not in self._record.failed_steps]
        if (
            self._request.experiment
        ):  # nothing is handed over in the wave itself, so the checks come in one of their own
            checks = [check for name in made for check in self._steps.checks[name]]
            yield from self._execute([one.step for one in checks])
        self._settle(wave, checks)

    def _settle(self, wave: Wave, checks: Iterable[CheckStep]) -> None:
        failed = self._record.failed_steps
        refused = {check.asset for check in checks if check.step in failed}
        for name in (*wave.execute, *wave.check):
            if name in refused or self._steps.assets[name] in failed:
                self._waves.fail(name)
            else:
                artifact = self._store.of_run(self._request.run_id, name)
                self._waves.finish(name, artifact.version if artifact else self._waves.up_to_date.get(name))
        for check in checks:
            if check.step in self._record.passed_steps:
                self._passed.add(check.key.name, self._versions(check), self._deciding(check), self._request.run_id)

    def _execute(self, step_keys: Sequence[str]) -> Iterator[DagsterEvent]:
        """Have the other executor execute these steps.

        Raises:
            KeyboardInterrupt: the run was stopped, even if no step noticed.
        """
        if not step_keys:
            return
        executor = self._executor
        job = self._context.job.get_definition()
        config = ResolvedRunConfig.build(job, self._context.run_config)
        wave = self._plan.build_subset_plan(step_keys, job, config)
        context = PlanOrchestrationContext(
            self._context.plan_data._replace(execution_plan=wave),
            self._context.log,
            executor,
            self._context.output_capture,
        )
        for event in executor.execute(context, wave):
            self._record.note(event)
            yield event
        raise_if_stopped()

    @cached_property
    def _executor(self) -> Executor:
        """Chosen when the first step is executed, by how many assets may be."""
        return self._choose(len(self._waves.chosen) - len(self._waves.up_to_date))

    def _unchecked(self, name: str) -> list[CheckStep]:
        return [
            check
            for check in self._steps.checks[name]
            if not self._passed.has(check.key.name, self._versions(check), self._deciding(check))
        ]

    def _is_checked(self, stage: Stage, version: str) -> bool:
        return not self._unchecked(stage.name)

    def _versions(self, check: CheckStep) -> dict[str, str | None]:
        """The versions a check looks at."""
        return {name: self._version(name) for name in check.looks_at}

    def _version(self, name: str) -> str | None:
        known = self._waves.done.get(name) or self._waves.up_to_date.get(name)
        if known is None:
            artifact = self._store.of_run(self._request.run_id, name) or self._store.current(name)
            known = artifact.version if artifact is not None else None
        return known

    def _deciding(self, check: CheckStep) -> dict[str, object]:
        return check.settings_part(self._waves.graph[check.asset].derive(self._request.settings))

    def _is_recorded(self, stage: Stage, version: str) -> bool:
        """Whether Dagster shows this version, made by this code from what lies outside, as the latest of the asset."""
        if self._is_due(stage):
            return False
        tags, settings = self._latest.get(stage.name, {}), self._request.settings
        if tags.get(DATA_VERSION_TAG) != version or self._request.experiment:
            return tags.get(DATA_VERSION_TAG) == version
        return tags.get(CODE_VERSION_TAG) == stage.code_version(settings) and names_outside(tags, stage, settings)

    def _is_due(self, stage: Stage) -> bool:
        """Whether Dagster must hear again that the endpoint is up to date, before it calls it overdue."""
        hours = self._request.settings.automation.max_age_hours
        if stage.name != "endpoint" or hours is None or self._request.experiment:
            return False
        last = datetime.fromisoformat(self._store.pointer(stage.name)["materialized_at"])
        return datetime.now(UTC) - last > timedelta(hours=hours / 2)

    @cached_property
    def _latest(self) -> dict[str, Mapping[str, str]]:
        """The tags of the latest materialization of each asset; read once, before anything runs."""
        keys = {name: self._plan.get_step_by_key(step) for name, step in self._steps.assets.items()}
        records = self._context.instance.get_asset_records(
            [output.properties.asset_key for step in keys.values() for output in step.step_outputs
             if output.properties.asset_key is not None]
        )  # fmt: skip
        found = {}
        for one in records:
            made = one.asset_entry.last_materialization
            if made is not None and made.asset_materialization is not None:
                found[one.asset_entry.asset_key.path[-1]] = made.asset_materialization.tags or {}
        return found

    def _summary(self) -> Iterator[DagsterEvent]:
        if self._request.experiment:
            line = "an experiment: the home stays as it is, nothing is deployed; embed-pipeline promote takes it over"
            yield DagsterEvent.engine_event(self._context, line, EngineEventData())
        count = len(self._waves.up_to_date)
        if count:
            line = f"{count} of {len(self._steps.assets)} assets are up to date: {', '.join(self._waves.up_to_date)}"
            yield DagsterEvent.engine_event(self._context, line, EngineEventData())
