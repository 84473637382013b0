"""One file per task on this package's networks: `python -m examples.<task>`."""

from training.cli import import_quietly

import_quietly("keras")
