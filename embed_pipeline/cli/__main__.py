"""``python -m embed_pipeline.cli``: the command line."""

from embed_pipeline.cli.app import main

if __name__ == "__main__":
    main()
