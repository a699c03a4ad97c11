"""Run this experiment: ``python -m experiments.benchmark``."""

from experiments.benchmark.config import Benchmark
from experiments.benchmark.run import benchmark
from experiments.harness import main

if __name__ == "__main__":
    main("benchmark", Benchmark, benchmark)
