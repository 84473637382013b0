"""The parts of each image format that TensorFlow's decoders do not read, in the graph."""
