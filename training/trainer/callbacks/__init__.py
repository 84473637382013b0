"""Keras callbacks of a run; each has a JSON `state` that checkpoints save."""
