"""Run this experiment: ``python -m experiments.benchmark``."""

from experiments.benchmark.run import benchmark
from experiments.harness import main

main("benchmark", benchmark)
