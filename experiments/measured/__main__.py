"""Run this experiment: ``python -m experiments.measured``."""

from experiments.harness import main
from experiments.measured.config import Measured
from experiments.measured.run import measured

if __name__ == "__main__":
    main("measured", Measured, measured)
