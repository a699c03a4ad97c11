"""Run this experiment: ``python -m experiments.energy``."""

from experiments.energy.config import Energy
from experiments.energy.run import energy
from experiments.harness import main

if __name__ == "__main__":
    main("energy", Energy, energy)
