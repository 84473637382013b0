"""`python -m training <command>`."""

import sys

from training import cli
from training.common import environment

if __name__ == "__main__":
    environment.begin("".join(sys.argv[1:2]))
    sys.exit(cli.main())
