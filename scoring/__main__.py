"""The command line: `scoring --help`."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, metadata
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from scoring import cli, extras
from scoring.cli.calls import SUMMARIES, is_target
from scoring.errors import ScoringError

if TYPE_CHECKING:
    import typer

_RED, _YELLOW, _PLAIN = "\033[31m", "\033[33m", "\033[0m"


def assemble() -> typer.Typer:
    """Add every module of scoring.cli: a group if it has an `app`, else one
    command, the function of the module's name.
    """
    import typer

    app = typer.Typer(
        name="scoring",
        no_args_is_help=True,
        invoke_without_command=True,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def scoring(
        *,
        version: bool = typer.Option(False, "--version", help="Show it and end."),
    ) -> None:
        """Real-time fraud decisions for payments."""  # `main` has shown the version

    for name in commands():
        module = import_module(f"scoring.cli.{name.replace('-', '_')}")
        if hasattr(module, "app"):
            app.add_typer(module.app, name=name, rich_help_panel=_panel(name))
        else:
            function = getattr(module, module.__name__.rpartition(".")[2])
            app.command(name, rich_help_panel=_panel(name))(function)
    for name, does in SUMMARIES.items():  # for the overview: `main` has run them
        app.command(name, help=does, rich_help_panel=_panel(name))(_call)
    return app


def commands() -> list[str]:
    """The first words of every command that an extra brings, a module each.

    A module `policy_backtest` is no word of its own beside `policy`: it is one of its.
    """
    found = {each.name for each in iter_modules(cli.__path__) if not each.ispkg}
    first = (name for name in found if name.partition("_")[0] not in found - {name})
    return sorted(name.replace("_", "-") for name in first)


def main() -> None:
    """Run the command that the arguments name, and end with its exit status."""
    words = sys.argv[1:]
    if words[:1] and words[0] in SUMMARIES:
        ended(_call)
    elif words[:1] == ["--version"]:
        sys.stdout.write(f"{metadata.version(extras.PACKAGE)}\n")
    elif find_spec("typer") is None:
        _run_light(words)
    else:
        app = assemble()
        _warn_of_unread_settings()
        ended(app)


def ended(command: Callable[[], object]) -> None:
    """Run a command; a refusal is one plain line and exit status 2."""
    try:
        command()
    except ScoringError as error:
        _refuse(str(error))
    except ModuleNotFoundError as error:
        advice = extras.advice(str(error.name), sys.argv[1:])
        if not advice:
            raise
        _refuse(advice)
    except OSError as error:
        if error.filename is None:  # not about a file that somebody named
            raise
        _refuse(f"{error.filename}: {error.strerror}")
    except ValueError as error:
        from scoring.settings import setting_problem

        problem = setting_problem(error)
        if not problem:
            raise
        _refuse(problem)


def _call() -> None:
    """Call a running service, as the words say."""
    # Before gRPC is imported: its own words are for those who write it.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from scoring.cli.calls.commands import run

    sys.exit(run(sys.argv[1:]))


def _run_light(words: Sequence[str]) -> None:
    """What the package does without an extra; whatever else is asked says which."""
    if words[:1] in ([], ["--help"]):
        sys.stdout.write(f"{overview()}\n")
    elif words[0] in commands():
        needed = extras.install(extras.of_command(words))
        _refuse(f"`scoring {words[0]}` needs more than the package alone: {needed}")
    else:
        _refuse(f"{words[0]}: no such command; see `scoring --help`")


def overview() -> str:
    """Every command in a line, under what to install for it; imports none of them."""
    lines = ["Usage: scoring COMMAND …", "", "Real-time fraud decisions for payments."]
    every = sorted([*SUMMARIES, *commands()], key=_panel)
    for panel, names in groupby(every, key=_panel):
        lines += ["", f"{panel}:", *(f"  {name:13} {_does(name)}" for name in names)]
    lines += [
        "",
        f"An extra: {extras.install(['NAME'])}; train-gpu in place of train for",
    ]
    lines += [
        "an NVIDIA GPU; beside the others, remote for models in object storage,",
        "postgres for a control plane on PostgreSQL, traces for OpenTelemetry.",
    ]
    return "\n".join(lines)


def _panel(command: str) -> str:
    """Where the overview lists a command.

    >>> _panel("serve"), _panel("demo")
    ('With the extra serve', 'With the extras embedded, train')
    >>> _panel("check")
    'Call a running service'
    """
    needed = extras.of_command([command])
    if not needed:
        return "Call a running service"
    return f"With the extra{'s' * (len(needed) > 1)} {', '.join(needed)}"


def _does(command: str) -> str:
    if command in SUMMARIES:
        return SUMMARIES[command]
    file = Path(cli.__file__).with_name(f"{command.replace('-', '_')}.py")
    summary = (ast.get_docstring(ast.parse(file.read_text())) or "").splitlines()[0]
    return summary.partition(": ")[2]


def _warn_of_unread_settings() -> None:
    from scoring.wiring.unread_settings import unread_settings

    if "--worker" in sys.argv:  # its supervisor has said it
        return
    own = {name: v for name, v in os.environ.items() if not is_target(name)}
    for line in unread_settings(own):
        _complain(line, _YELLOW)


def _refuse(problem: str) -> None:
    _complain(problem, _RED)
    sys.exit(2)


def _complain(line: str, colour: str) -> None:
    said = f"scoring: {line}"
    shown = f"{colour}{said}{_PLAIN}" if sys.stderr.isatty() else said
    sys.stderr.write(f"{shown}\n")


if __name__ == "__main__":
    main()
