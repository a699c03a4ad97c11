"""Run this experiment: ``python -m experiments.digits``."""

from experiments.digits.run import digits
from experiments.harness import main

main("digits", digits)
