"""DuckDB stays by itself."""

import re
import subprocess
import sys
from pathlib import Path

from contacts import contacts, watched

import scoring

# Needs an extension that the wheel does not hold.
ASKS = """
from scoring.training.sql import connect
try:
    connect().execute("SELECT * FROM read_csv('https://tables.example.org/t.csv')")
except Exception as error:
    print(type(error).__name__)
"""


def test_a_query_that_needs_an_extension_is_refused_and_nobody_is_asked(tmp_path):
    log = tmp_path / "log"
    done = subprocess.run(
        watched([sys.executable, "-c", ASKS], log),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout
    assert contacts(log) == set()


def test_every_connection_is_made_that_way():
    package = Path(scoring.__path__[0])
    makers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if re.search(r"duckdb\.(connect|execute|sql|query)", path.read_text())
    }
    assert makers == {"training/sql.py"}
