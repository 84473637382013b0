"""One file per task on this package's networks: `python -m examples.<task>`."""

from training.common.keras_import import import_keras

import_keras()
