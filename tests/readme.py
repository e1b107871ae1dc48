"""The README's commands, as they stand there."""

import re
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def shell_blocks() -> list[str]:
    """The text of every ```sh block, in order."""
    return re.findall(
        r"^```sh\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL
    )


def block_of(tool: str) -> str:
    """The one block whose lines begin with `tool`."""
    found = [b for b in shell_blocks() if re.search(rf"^{tool}\b", b, re.MULTILINE)]
    assert len(found) == 1, f"{tool}: {len(found)} blocks of the README show it"
    return found[0]
