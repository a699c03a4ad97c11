"""Run this experiment: ``python -m experiments.overhead``."""

from experiments.harness import main
from experiments.overhead.config import Overhead
from experiments.overhead.run import overhead

if __name__ == "__main__":
    main("overhead", Overhead, overhead)
