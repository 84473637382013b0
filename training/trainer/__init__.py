"""The run: training from the newest checkpoint to a finished model."""
