"""What tests of all packages share: `tests/` is importable, so that they find each other's builders."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
