"""The daemon: takes runs from the queue, evaluates the sensor and the schedule."""


def serve(workspace: str) -> None:
    """Be the daemon until a signal comes."""
    from pathlib import Path

    from dagster._daemon.controller import DagsterDaemonController, create_daemons_from_instance
    from dagster._utils.interrupts import capture_interrupts, setup_interrupt_handlers
    from dagster._utils.log import configure_loggers

    from embed_pipeline.webui.workspace import open_workspace

    configure_loggers(log_level="INFO")
    setup_interrupt_handlers()
    try:
        with capture_interrupts(), open_workspace(Path(workspace)) as context, context.instance:
            daemons = create_daemons_from_instance(context.instance)
            with DagsterDaemonController(context, daemons) as controller:
                controller.check_daemon_loop()
    except KeyboardInterrupt:
        return
