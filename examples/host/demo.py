"""A live twin of this very machine: fed, simulated, calibrated, validated, asked a what-if. `make demo` runs it."""

import sys

from demo.story import main

if __name__ == "__main__":
    sys.exit(main())
