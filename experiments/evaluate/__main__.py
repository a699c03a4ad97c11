"""Run this experiment: ``python -m experiments.evaluate``."""

from experiments.evaluate.config import Evaluate
from experiments.evaluate.run import evaluate
from experiments.harness import main

if __name__ == "__main__":
    main("evaluate", Evaluate, evaluate)
