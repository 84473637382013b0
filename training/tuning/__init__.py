"""Hyperparameter search over shortcuts: keras-tuner chooses the trials, `train` trains them."""
