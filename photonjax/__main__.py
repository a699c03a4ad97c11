"""``python -m photonjax``: the command line of :mod:`photonjax.command`."""

import sys

from photonjax.command import main

if __name__ == "__main__":
    sys.exit(main())
