"""How TensorFlow, JAX and PyTorch feed and compile a training step."""
