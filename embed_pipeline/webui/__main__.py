"""One process of the web UI, as the supervisor starts it: ``python -m embed_pipeline.webui ROLE OPTIONS``."""

import json
import os
import sys

from embed_pipeline.webui.children import FEW_ARENAS
from embed_pipeline.webui.lifeline import end_with


def main(role: str, options: dict[str, object]) -> None:
    """Be one of the processes until a signal comes.

    Args:
        options: of the role, and ``lifeline``, the descriptor of the pipe.
    """
    for name in FEW_ARENAS:  # has had its effect, and is not for the runs that are started from here
        os.environ.pop(name, None)
    end_with(int(str(options.pop("lifeline"))))
    if role == "code":
        from embed_pipeline.webui import code_server

        code_server.serve(**options)  # type: ignore[arg-type]
    else:
        from embed_pipeline.webui import web_server

        web_server.serve(**options)  # type: ignore[arg-type]


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
