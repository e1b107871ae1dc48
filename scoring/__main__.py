"""The command line: `scoring --help`."""

from __future__ import annotations

import sys
from importlib import import_module
from pkgutil import iter_modules

import typer

from scoring import commands
from scoring.errors import ScoringError

app = typer.Typer(
    name="scoring",
    help="Real-time fraud decisions for payments.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def assemble() -> typer.Typer:
    """Add every module of scoring.commands: a group if it has an `app`, else one
    command, the function of the module's name.
    """
    for found in sorted(iter_modules(commands.__path__), key=lambda found: found.name):
        module = import_module(f"scoring.commands.{found.name}")
        name = found.name.replace("_", "-")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, found.name))
    return app


def main() -> None:
    """Run one command; a refusal is one plain line and exit status 2."""
    assemble()
    try:
        app()
    except ScoringError as error:
        typer.secho(f"scoring: {error}", fg=typer.colors.RED, err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
