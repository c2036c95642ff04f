"""The exported model and the server of the serving tests."""

from embed_pipeline_tests.serving.conftest import checkpoint, encoder, exported, url

__all__ = ["checkpoint", "encoder", "exported", "url"]
