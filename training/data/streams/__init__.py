"""Photographs as tf.data streams, and the time that training waits for them."""
