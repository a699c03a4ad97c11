"""Run this experiment: ``python -m experiments.design``."""

from experiments.design.run import design
from experiments.harness import main

main("design", design)
