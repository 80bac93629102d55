"""The examples of the README, each as a program of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import Server

README = (Path(__file__).parents[1] / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_some():
    assert len(EXAMPLES) == README.count("```python") >= 8


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_example(number: int, server: Server, tmp_path: Path):
    program = EXAMPLES[number]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MESA_")}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**clean, "MESA_API_URL": server.url, "MESA_API_KEY": server.admin_key},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert server.admin_key not in ran.stdout
    assert ran.stdout or "webhook" not in program
