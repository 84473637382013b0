"""The search over shortcuts and what surrounds them: keras-tuner decides, `train` trains."""
