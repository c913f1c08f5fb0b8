"""Generate Sprites-MOT sequences (paper, section 4.1)."""

from utils.cli import run
from utils.synthetic_cli import main

if __name__ == "__main__":
    run(lambda: main("sprites"))
