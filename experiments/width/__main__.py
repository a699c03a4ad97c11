"""Run this experiment: ``python -m experiments.width``."""

from experiments.harness import main
from experiments.width.config import Width
from experiments.width.run import width

if __name__ == "__main__":
    main("width", Width, width)
