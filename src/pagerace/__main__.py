"""``python -m pagerace`` is ``pagerace``."""

import sys

from pagerace.cli import main

if __name__ == "__main__":
    sys.exit(main())
