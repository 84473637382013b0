"""Data sets in prepared files: of TensorFlow Datasets, or arrays in .npz files."""
