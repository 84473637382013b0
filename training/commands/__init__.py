"""One module per command: `add_arguments` declares its options, `run` does the work.

The modules import neither TensorFlow nor Keras (nor `keras_resnet`, which imports Keras), so that
`--help` is immediate: `run` imports what it needs.
"""
