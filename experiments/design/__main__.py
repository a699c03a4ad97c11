"""Run this experiment: ``python -m experiments.design``."""

from experiments.design.config import Design
from experiments.design.run import design
from experiments.harness import main

if __name__ == "__main__":
    main("design", Design, design)
