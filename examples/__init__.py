"""One file per task on this package's networks: `python -m examples.<task>`."""

from training.common.keras_import import import_keras, import_tensorflow

import_keras()
import_tensorflow()  # reads and batches the examples' images on every backend
