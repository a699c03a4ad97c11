"""Run this experiment: ``python -m experiments.report``."""

import sys

from experiments.report.run import main

main(sys.argv[1:])
