"""Options of the commands of the control plane: which one, and as whom."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

if TYPE_CHECKING:
    from scoring.client.control_plane import ControlApi
    from scoring.control.api.plane import Plane
    from scoring.settings import Settings

ControlUrl = Annotated[
    str,
    typer.Option(
        "--control",
        metavar="URL",
        help="A control plane's address; default: SCORING_CONTROL_URL, else the "
        "database itself.",
    ),
]
DatabaseUrl = Annotated[
    str,
    typer.Option(
        "--database",
        metavar="URL",
        help="sqlite:///FILE or postgresql://…; default: SCORING_CONTROL_DATABASE_URL.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help="Holds your token; default: SCORING_CONTROL_TOKEN_FILE, else "
        "control.token in SCORING_STATE_DIR; on a database the system's user.",
    ),
]
ListsAsNow = Annotated[
    bool,
    typer.Option(
        "--lists-as-now",
        help="Managed lists as they are now, not as they were for each payment.",
    ),
]


@contextmanager
def control_at(
    control: str = "", database: str = "", token_file: Path | None = None
) -> Iterator[ControlApi]:
    """The control plane that a command works with, by one code path.

    By its URL with a token, else by the API in this process on the database: as whoever
    a named token is of, else as the system's user, who is its admin, as whoever can
    open it is. Raises `BadArtifact`, `Unavailable` and `Refused`.
    """
    from scoring.cli.plane.in_process import InProcess
    from scoring.client.control_plane import ControlApi, OverHttp
    from scoring.settings import Settings

    settings = Settings()
    url = control or ("" if database else settings.control_url)
    own = settings.state_dir / "control.token"
    if url:
        token = _token(token_file or settings.control_token_file or own)
        plain = settings.control_plain_http
        yield ControlApi(OverHttp(url, token, settings.control_ca_file, plain))
        return
    from scoring.control.api.app import control_api
    from scoring.control.api.identity import Identity

    named = token_file or (None if database else settings.control_token_file)
    with plane_at(settings, database) as plane:
        if named is None:
            yield ControlApi(InProcess(control_api(plane)))
            return
        known = replace(plane, person=None, identity=Identity(people=plane.people))
        yield ControlApi(InProcess(control_api(known), _token(named)))


P = ParamSpec("P")
_WHICH = {
    name: Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
    for name, kind, default in (
        ("control", ControlUrl, ""),
        ("database", DatabaseUrl, ""),
        ("token_file", TokenFile, None),
    )
}


def with_control(
    command: Callable[Concatenate[ControlApi, P], None],
) -> Callable[..., None]:
    """A command that is given the control plane first, by options that it gets here."""

    @wraps(command)
    def run(*given: Any, **named: Any) -> None:
        which = {name: named.pop(name) for name in _WHICH if name in named}
        with control_at(**which) as api:
            command(api, *given, **named)

    command.__annotations__.pop("api")  # imported where it is first used
    own = list(signature(command, eval_str=True).parameters.values())[1:]
    parameters = [*own, *_WHICH.values()]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return run


@contextmanager
def plane_at(settings: Settings, database: str = "") -> Iterator[Plane]:
    """The desks on a database, for whoever is at the shell."""
    from scoring.control.domain.people import Person, PersonRole
    from scoring.wiring.control_app import plane_from
    from scoring.wiring.control_parts import database_from

    opened = database_from(settings, database)
    person = Person(_at_the_shell(), frozenset({PersonRole.ADMIN}), "shell")
    try:
        yield plane_from(settings, opened, person=person)
    finally:
        opened.close()


def _at_the_shell() -> str:
    """The operating system's name for who runs this; no variable can say another."""
    user = os.getuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:  # a container may run as anybody
        return f"uid {user}"


def _token(file: Path) -> str:
    from scoring.errors import BadArtifact

    try:
        token = file.read_text().strip()
    except OSError as error:
        raise BadArtifact(
            f"{file}: cannot be read: {error.strerror}; name the file of your token by "
            "--token-file or SCORING_CONTROL_TOKEN_FILE"
        ) from error
    if not token.isprintable() or not token or " " in token:
        raise BadArtifact(f"{file}: holds no token; put it there alone, in one line")
    return token
