"""The servers and mounts of the other tests, for tests that need large packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

# Under another name than this one's.
_spec = importlib.util.spec_from_file_location("conftest_of_tests", TESTS / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_others = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_others)
globals().update({name: it for name, it in vars(_others).items() if not name.startswith("__")})
