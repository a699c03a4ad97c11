"""Run this experiment: ``python -m experiments.photons``."""

from experiments.harness import main
from experiments.photons.run import photons

main("photons", photons)
