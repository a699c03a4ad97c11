"""Joules for each token: models, contexts, cores and baselines."""
