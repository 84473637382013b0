"""Recipes and jobs: trainings as data."""
