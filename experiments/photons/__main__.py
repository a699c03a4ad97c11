"""Run this experiment: ``python -m experiments.photons``."""

from experiments.harness import main
from experiments.photons.config import Photons
from experiments.photons.run import photons

if __name__ == "__main__":
    main("photons", Photons, photons)
