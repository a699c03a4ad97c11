"""Run this experiment: ``python -m experiments.scaling``."""

from experiments.harness import main
from experiments.scaling.config import Scaling
from experiments.scaling.run import scaling

if __name__ == "__main__":
    main("scaling", Scaling, scaling)
