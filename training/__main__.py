"""`python -m training <command>`."""

import sys

from training import cli
from training.common import environment
from training.common.process_end import run_as_process

if __name__ == "__main__":
    environment.begin("".join(sys.argv[1:2]))
    run_as_process(cli.main)
