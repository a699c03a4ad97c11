"""Run this experiment: ``python -m experiments.fidelity``."""

from experiments.fidelity.config import Fidelity
from experiments.fidelity.run import fidelity
from experiments.harness import main

if __name__ == "__main__":
    main("fidelity", Fidelity, fidelity)
