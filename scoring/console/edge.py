"""What every request and answer of the console is held to."""

from __future__ import annotations

import re
from asyncio import to_thread
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from scoring.errors import Denied, InvalidTransaction, MessageTooLarge

# A policy and its reasons, percent-encoded: three bytes for one.
FORM_BYTES_MAX = 4_194_304
# A token, and where to go on to: all that a stranger may send.
STRANGERS_FORM_BYTES_MAX = 16_384
_FIELDS_MAX = 100  # of a payment with all its fields, beside our own
_FORM = "application/x-www-form-urlencoded"
_NUMBER = re.compile("[0-9]{1,15}")  # JSON's numbers are whole so far
_LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")

# Everything is of this process; nothing that a text could hold is run or loaded.
HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # without it a browser's forms name no origin
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
NO_STORE = {"cache-control": "no-store"}
SECURED = {"strict-transport-security": "max-age=31536000"}


def local_path(wanted: str, otherwise: str = "/") -> str:
    """A path of ours to go on to; nothing that leads elsewhere.

    >>> local_path("/d/default/t1?x=1"), local_path("//evil.example/")
    ('/d/default/t1?x=1', '/')
    >>> local_path("https://evil.example/"), local_path("/\\\\evil.example")
    ('/', '/')
    """
    return wanted if _LOCAL.fullmatch(wanted) else otherwise


def whole_number(field: str, written: str) -> int:
    """A number of something; raises `InvalidTransaction`.

    >>> whole_number("revision", "12")
    12
    """
    if not _NUMBER.fullmatch(written):
        raise InvalidTransaction(field, "is a whole number")
    return int(written)


def refuse_other_sites(request: Request) -> None:
    """Raise `Denied` for a form that another site's page sends.

    A browser names the site of every form it sends. The scheme is not compared: a
    proxy before us may end TLS.
    """
    origin = urlsplit(request.headers.get("origin", ""))
    if not origin.netloc or origin.netloc != request.headers.get("host", ""):
        raise Denied(
            "the form was sent by another site's page, or by no browser; "
            "open the page here and send it again"
        )


async def form_of(request: Request, bytes_max: int) -> dict[str, str]:
    """The fields of a form; raises `MessageTooLarge` and `InvalidTransaction`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise InvalidTransaction("content-type", f"is not {_FORM}")
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > bytes_max:
            raise MessageTooLarge(bytes_max)
    # Of a whole policy this takes long, and nobody else shall wait for it.
    return await to_thread(_fields, bytes(content))


def _fields(content: bytes) -> dict[str, str]:
    try:
        fields = parse_qsl(
            content.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_FIELDS_MAX,
            errors="strict",
        )
    except ValueError as error:
        raise InvalidTransaction("form", "cannot be read") from error
    # Browsers send a text's lines as CR LF, and a policy's hash is of its text.
    return {name: value.replace("\r\n", "\n") for name, value in fields}


def status_of(error: Exception) -> HTTPStatus:
    """The status of a refusal that is our own."""
    if isinstance(error, MessageTooLarge):
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    if isinstance(error, Denied):
        return HTTPStatus.FORBIDDEN
    return HTTPStatus.BAD_REQUEST
