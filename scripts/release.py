"""What scripts/release runs; the work is in scripts/releasing."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.releasing.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
