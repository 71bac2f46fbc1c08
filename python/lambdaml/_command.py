"""The command `lambdaml` of an installed package: this process becomes it."""

import os
import sys


def main() -> None:
    folder = os.path.dirname(os.path.abspath(__file__))
    command = os.path.join(folder, "lambdaml")
    if not os.path.exists(command):
        sys.exit(f"lambdaml: the command is not in {folder}; build it with make build")
    os.execv(command, ["lambdaml", *sys.argv[1:]])
