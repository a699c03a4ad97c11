"""Run this experiment: ``python -m experiments.claims``."""

from experiments.claims.config import Claims
from experiments.claims.run import claims
from experiments.harness import main

if __name__ == "__main__":
    main("claims", Claims, claims)
