"""Run this experiment: ``python -m experiments.evaluate``."""

from experiments.evaluate.run import evaluate
from experiments.harness import main

main("evaluate", evaluate)
