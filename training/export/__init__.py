"""Finished models as versions for TF Serving and as files of other runtimes."""
