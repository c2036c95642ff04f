"""``python -m embed_pipeline.serving``: the server alone, logging to standard error."""

import argparse
import logging
import sys
from pathlib import Path

from embed_pipeline.errors import EmbedPipelineError
from embed_pipeline.serving.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m embed_pipeline.serving", description="Embeddings server.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, help="model folder, served for good")
    what.add_argument("--deployments", type=Path, help="folder whose current.json names the release to serve")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8808)
    parser.add_argument("--model-name", default="embed-pipeline", help="name that clients pass as model")
    parser.add_argument("--threads", type=int, default=0, help="ONNX Runtime threads; 0: all cores")
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(options.model, options.deployments, options.host, options.port, options.model_name, options.threads)
    except EmbedPipelineError as error:
        logging.getLogger("embed_pipeline.serving").error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
