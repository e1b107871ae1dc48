"""The clients that docs/clients.md shows, built once as it says and kept.

`python tests/client_page.py` builds all of them. What a page's command brings from a
registry lands in the cache of `toolbox`, under a hash of the page.
"""

import os
import re
import sys
from hashlib import sha256
from pathlib import Path

import toolbox

PAGE = toolbox.ROOT / "docs" / "clients.md"
PROTOS = toolbox.ROOT / "protos"
BLOCK = re.compile(
    r"^<!-- (?P<word>file|needs): (?P<value>[^>]+?) -->\n```[a-z]+\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
# The page's files that each language needs, besides the service config.
FILES = {
    "go": ("buf.gen.yaml", "main.go", "report/main.go"),
    "java": (
        "pom.xml",
        "src/main/java/Pay.java",
        "src/main/java/ReportLabel.java",
    ),
    "node": ("pay.mjs", "label.mjs"),
}
LANGUAGES = tuple(FILES)
# What a build calls beside the language's own tools.
BROUGHT = {"go": ("protoc-gen-go", "protoc-gen-go-grpc"), "java": (), "node": ()}


def blocks(kind: str) -> dict[str, str]:
    """The page's files by name, or its commands by what they need."""
    found = BLOCK.finditer(PAGE.read_text())
    return {m["value"]: m["text"] for m in found if m["word"] == kind}


def path(*tools: Path) -> str:
    """A PATH that finds these tools and what `make setup` installed."""
    folders = [str(tool.parent) for tool in tools]
    here = str(Path(sys.executable).parent)
    return os.pathsep.join([*folders, here, os.environ["PATH"], "/usr/sbin"])


def built(language: str) -> Path:
    """A directory where the page's build command of this language has run."""
    tools = [toolbox.go_tool(name) for name in BROUGHT[language]]
    protos = b"".join(p.read_bytes() for p in sorted(PROTOS.rglob("*.proto")))
    command = blocks("needs")[f"{language} build"]
    shown = blocks("file")
    files = {name: shown[name] for name in ("service-config.json", *FILES[language])}
    digest = sha256(f"{files}{command}".encode() + protos).hexdigest()[:12]

    def fetch(into: Path) -> None:
        for name, text in files.items():
            file = into / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        env = {"PATH": path(*tools), "PROTOS": str(PROTOS)}
        toolbox.command("bash", "-euc", command, cwd=into, env=env)

    return toolbox.kept(f"client-{language}-{digest}", fetch)


def main() -> int:
    """Build all; say what came and what did not."""
    missing = 0
    for language in LANGUAGES:
        try:
            print(f"client in {language:10} {built(language)}", flush=True)
        except toolbox.Missing as reason:
            missing += 1
            print(f"client in {language:10} MISSING: {reason}", flush=True)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
