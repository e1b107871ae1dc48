"""What pages load is what was published, and nothing else."""

import re
from hashlib import sha256

from scoring.console.assets import FOLDER, VENDORED, loaded

OURS = {"console.css", "console.js", "icon.svg"}


def test_each_file_of_others_is_the_one_that_was_published():
    for name, vendored in VENDORED.items():
        assert sha256((FOLDER / name).read_bytes()).hexdigest() == vendored.sha256
        assert (FOLDER / f"{vendored.package.removesuffix('.org')}.LICENSE").exists()


def test_every_file_is_ours_or_listed_with_its_licence():
    assert set(loaded()) == OURS | set(VENDORED)


def test_no_script_or_style_names_another_host():
    for name in OURS - {"icon.svg"}:
        assert not re.search(r"(https?:)?//\w", (FOLDER / name).read_text()), name
