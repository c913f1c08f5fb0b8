"""Sprites-MOT by the path of the original repository: `python utils/gen_sprite.py --test 1`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.cli import run
from utils.synthetic_cli import main

if __name__ == "__main__":
    run(lambda: main("sprites"))
