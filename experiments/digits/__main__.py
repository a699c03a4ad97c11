"""Run this experiment: ``python -m experiments.digits``."""

from experiments.digits.config import Digits
from experiments.digits.run import digits
from experiments.harness import main

if __name__ == "__main__":
    main("digits", Digits, digits)
