"""Run this experiment: ``python -m experiments.overhead``."""

from experiments.harness import main
from experiments.overhead.run import overhead

main("overhead", overhead)
