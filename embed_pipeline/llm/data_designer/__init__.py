"""NVIDIA NeMo Data Designer as the engine that asks."""
