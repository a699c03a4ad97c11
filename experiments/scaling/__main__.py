"""Run this experiment: ``python -m experiments.scaling``."""

from experiments.harness import main
from experiments.scaling.run import scaling

main("scaling", scaling)
