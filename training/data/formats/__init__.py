"""What TensorFlow's decoders leave to do for each image format, in the graph."""
