"""`python -m archive.cli` is the `lightbox` command."""

from archive.cli import main

main()
