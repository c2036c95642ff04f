"""How a text becomes a vector: the spec, the base model, and encoders that run it."""
