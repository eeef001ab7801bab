"""Runs for experiment trackers: ``python -m ansatz.export results/digits --to mlflow``."""
