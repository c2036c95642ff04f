"""The executor of every run: decides before a step starts whether it must, and holds the home while it works.

It wraps Dagster's own executors, in process or one process a step, and gives them one wave of steps after the other.
What an earlier run has computed and the pointer names is not executed at all; see :mod:`embed_pipeline.stages.waves`.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.base import Executor
from dagster._core.executor.init import InitExecutorContext

from embed_pipeline.defs.guard import hold_home
from embed_pipeline.defs.run_in_waves import RunInWaves
from embed_pipeline.defs.run_record import RunRecord
from embed_pipeline.defs.run_request import RunRequest
from embed_pipeline.defs.steps import Steps
from embed_pipeline.errors import SettingsError
from embed_pipeline.settings import Settings
from embed_pipeline.stages.declare import Stage
from embed_pipeline.stages.interrupts import stoppable
from embed_pipeline.store.artifacts import Store

# What the process has imported from which the step processes are forked. Importing it touches no GPU.
LIGHT = ["embed_pipeline.definitions", "polars"]
HEAVY = [*LIGHT, "torch", "sentence_transformers"]
FEW_ASSETS = 3
"""For so many assets the heavy imports are not worth their seconds."""

Create = Callable[[Sequence[str]], Executor]
"""Makes the executor inside, of the modules to be preloaded."""


class WavesExecutor(Executor):
    """Gives another executor the steps of a run in waves, and only those that are needed."""

    def __init__(self, create: Create, settings: Settings, store: Store, graph: Mapping[str, Stage]) -> None:
        self.inner = create(LIGHT)
        self._create = create
        self._settings = settings
        self._store = store
        self._graph = graph

    @property
    def retries(self) -> RetryMode:
        """As of the executor inside."""
        return self.inner.retries

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        """As of the executor inside."""
        return self.inner.step_dependency_config

    def execute(self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan) -> Iterator[DagsterEvent]:
        """Run what must be run; the events of it.

        Raises:
            SettingsError: an override or a forced asset of this run is refused; nothing has run.
        """
        steps = Steps.of(execution_plan, plan_context, self._graph)
        if not steps.assets and not steps.checks_alone:  # a job that is no run of the pipeline
            yield from self.inner.execute(plan_context, execution_plan)
            return
        yield _begun(plan_context)
        given = RunRequest.given(plan_context.dagster_run, self._settings)
        try:
            request = given.applied(self._graph)
        except SettingsError as refusal:
            RunRecord(self._store, given, plan_context.instance, steps.assets).refused(refusal)
            raise
        record = RunRecord(self._store, request, plan_context.instance, steps.assets)
        run = RunInWaves(self._choose, plan_context, execution_plan, steps, request, self._store, self._graph, record)
        hold = hold_home(self._store.home, request.holder, plan_context)
        with stoppable(record.end_by_force) as stop, record.kept(stop), hold:
            yield from run.events()

    def _choose(self, assets: int) -> Executor:
        return self._create(LIGHT if assets <= FEW_ASSETS else HEAVY)


def build_executor(settings: Settings, store: Store, graph: Mapping[str, Stage]) -> dg.ExecutorDefinition:
    """The executor for these settings: ``executor`` decides whether each step has a process of its own."""
    inner = dg.in_process_executor if settings.executor == "in_process" else dg.multiprocess_executor
    requirements = [] if settings.executor == "in_process" else multiple_process_executor_requirements()

    @dg.executor(name=inner.name, config_schema=inner.config_schema.as_field(), requirements=requirements)
    def in_waves(init_context: InitExecutorContext) -> WavesExecutor:
        def create(preloaded: Sequence[str]) -> Executor:
            config: dict[str, Any] = dict(init_context.executor_config)
            if settings.executor == "multiprocess":
                config.setdefault("start_method", {"forkserver": {"preload_modules": list(preloaded)}})
            assert inner.executor_creation_fn is not None
            return inner.executor_creation_fn(init_context._replace(executor_config=config))

        return WavesExecutor(create, settings, store, graph)

    return in_waves


def _begun(context: PlanOrchestrationContext) -> DagsterEvent:
    """The first event of a run names its process: by that a run is known as dead when it was killed."""
    metadata = {"pid": dg.MetadataValue.text(str(os.getpid()))}
    return DagsterEvent.engine_event(context, f"Run in process {os.getpid()}", EngineEventData(metadata=metadata))
