"""Luacheck over the store's program, as it is put together.

`python tests/lua_lint.py` says what luacheck says, with the part and its line. Luacheck
is Debian's `lua-check`; where it is missing, that is said, and CI fails.
"""

import os
import re
import subprocess
import sys

from toolbox import Missing, luacheck

from scoring.core.features.catalogue import default_catalogue
from scoring.stores.redis import lua_source
from scoring.stores.redis.script_compiler import Program, Terms

SERVER = ("redis", "struct", "cmsgpack")  # what Redis and Valkey lend a function
SAID = re.compile(r"^stdin:(\d+):(\d+): (.*)$", re.MULTILINE)


def program() -> str:
    """The shipped catalogue's program as a library, without its shebang."""
    library = Program(default_catalogue(), Terms(1, 1)).library()
    return library.partition("\n")[2]


def warnings(text: str) -> list[str]:
    """What luacheck finds in a program; raises `Missing`."""
    done = subprocess.run(
        [
            *(luacheck(), "--formatter", "plain", "--codes", "--no-config"),
            *("--std", "lua51", "--no-max-line-length"),
            *("--read-globals", *SERVER, "--", "-"),
        ],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode > 2:
        raise Missing(f"luacheck: {done.stderr or done.stdout}")
    return [
        f"{where(text, int(line))}:{column}: {what}"
        for line, column, what in SAID.findall(done.stdout)
    ]


def where(text: str, line: int) -> str:
    """The part, and the line in it, of a line of the program."""
    before = "\n".join(text.splitlines()[:line])
    for name in reversed(lua_source.PARTS):
        first = lua_source.with_values(
            lua_source.part(name), {**lua_source.names(), "DEDUPE_MS": 1}
        ).partition("\n")[0]
        _, found, body = before.rpartition(first)
        if found:
            return f"lua/{name}.lua:{body.count(chr(10)) + 1}"
    return f"the program:{line}"


def main() -> int:
    try:
        found = warnings(program())
    except Missing as reason:
        print(f"luacheck is MISSING, the store's Lua parts are NOT linted: {reason}")
        return 1 if os.environ.get("CI") else 0
    print("\n".join(found) or "luacheck: nothing to say of the store's Lua parts")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
