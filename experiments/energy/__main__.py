"""Run this experiment: ``python -m experiments.energy``."""

from experiments.energy.run import energy
from experiments.harness import main

main("energy", energy)
