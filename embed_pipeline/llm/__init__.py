"""Asking a language model: the client, what it costs, what it answered, the prompts."""
