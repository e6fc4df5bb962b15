"""`python -m conformance.clients`: see `conformance.clients.cli`."""

import sys

from conformance.clients.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
