"""Run this experiment: ``python -m experiments.fidelity``."""

from experiments.fidelity.run import fidelity
from experiments.harness import main

main("fidelity", fidelity)
