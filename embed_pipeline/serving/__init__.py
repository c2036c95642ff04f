"""The OpenAI-compatible embeddings server."""
