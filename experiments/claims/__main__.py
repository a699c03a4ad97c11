"""Run this experiment: ``python -m experiments.claims``."""

from experiments.claims.run import claims
from experiments.harness import main

main("claims", claims)
