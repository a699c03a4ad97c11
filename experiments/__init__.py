"""Experiments: a folder for each question, run as ``python -m experiments.evaluate key=value``."""
