"""Errors, whole files, this machine, figures and progress bars, for every package of `training`."""
