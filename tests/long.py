"""Whether the long forms of tests are wanted: `make test-long` sets the variable."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["LONG"]

LONG: Final = bool(os.environ.get("BATCHBUS_LONG_TESTS"))
