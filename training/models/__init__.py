"""Keras models around a run: built, completed with their preprocessing, loaded, rewritten."""
