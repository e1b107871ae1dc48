"""Texts that have one spelling each: addresses of the net, phones, accounts.

A caller may write them in several ways; what the service reads, keeps and compares is
the canonical one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

_SPELLINGS_MAX = 8_192  # canonical spellings remembered, by form
_IPV6_GROUPS = 3  # of 16 bits: a /48
_PHONE_UNGUARDED = 14  # a sign and 13 digits
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}")
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
_BETWEEN_DIGITS = re.compile(r"[\s()./-]")
_LETTER = re.compile(r"[^\W\d_]")
_BIN = re.compile(r"[0-9]{6,8}")
_VERSION = re.compile(r"[0-9]{1,2}(\.[0-9]{1,2}){1,2}")


def _always_guarded(_text: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Form:
    """How the texts of a field are written.

    `what` follows "must be"; `canonical` is the one spelling of a text, None where it
    is no such text; `holds_no_card` says of which no card number need be looked for,
    for their digits are known to be something else.
    """

    what: str
    canonical: Callable[[str], str | None]
    examples: tuple[str, str]
    holds_no_card: Callable[[str], bool] = _always_guarded

    def spelled(self, text: str) -> str:
        """The canonical spelling, or what is no such text as it is.

        >>> IP.spelled("2001:DB8:0::1"), IP.spelled("localhost")
        ('2001:db8::1', 'localhost')
        """
        canonical = self.canonical(text)
        return text if canonical is None else canonical

    def refusal(self, text: str) -> str:
        """Why a field never holds a text, and the spelling it would; "" if it can.

        >>> IP.refusal("2001:DB8::1")
        "must be an IPv4 or IPv6 address such as 203.0.113.7; did you mean \
'2001:db8::1'?"
        """
        canonical = self.canonical(text)
        if canonical == text:
            return ""
        near = f"; did you mean {canonical!r}?" if canonical else ""
        return f"must be {self.what}{near}"


@lru_cache(maxsize=_SPELLINGS_MAX)
def _ip(text: str) -> str | None:
    """RFC 5952; an IPv4 address that IPv6 carries (::ffff:…) is the IPv4 address."""
    try:
        if ":" not in text:
            return str(IPv4Address(text))
        address = IPv6Address(text)
    except AddressValueError:
        return None
    if address.scope_id is not None:
        return None
    return str(address.ipv4_mapped or address)


@lru_cache(maxsize=_SPELLINGS_MAX)
def network_of(ip: str) -> str:
    """The /24 of an IPv4 address, the /48 of an IPv6 one; "" of anything else.

    >>> network_of("203.0.113.7"), network_of("2001:db8:0:7::1"), network_of("")
    ('203.0.113.0/24', '2001:db8::/48', '')
    """
    if ":" not in ip:
        return f"{ip.rpartition('.')[0]}.0/24" if _ip(ip) else ""
    if _ip(ip) is None:
        return ""
    groups = IPv6Address(ip).exploded.split(":")[:_IPV6_GROUPS]
    first = ":".join(f"{int(group, 16):x}" for group in groups)
    return f"{IPv6Address(f'{first}::')}/48"


def _network(text: str) -> str | None:
    address, _, bits = text.partition("/")
    if bits != ("48" if ":" in text else "24"):
        return None
    return network_of(_ip(address) or "") or None


def domain_of(email: str) -> str:
    """What follows the @ of an address; "" of a token.

    >>> domain_of("ann@mail.example"), domain_of("tok_41")
    ('mail.example', '')
    """
    return email.rpartition("@")[2] if "@" in email else ""


def _email(text: str) -> str | None:
    """An address in lower case: two spellings of one mailbox count as one."""
    if "@" not in text:
        return text
    lower = text.strip().lower()
    local, _, domain = lower.rpartition("@")
    return lower if local and domain and not _has_blank(lower) else None


def _domain(text: str) -> str | None:
    lower = text.strip().lower().removeprefix("@")
    return None if "@" in lower or _has_blank(lower) else lower


def _has_blank(text: str) -> bool:
    return any(map(str.isspace, text))


@lru_cache(maxsize=_SPELLINGS_MAX)
def _phone(text: str) -> str | None:
    """E.164; what has a letter is a token."""
    if _LETTER.search(text):
        return text
    bare = _BETWEEN_DIGITS.sub("", text)
    international = f"+{bare[2:]}" if bare.startswith("00") else bare
    return international if _PHONE.fullmatch(international) else None


def _is_short_number(text: str) -> bool:
    """Of 14 digits and more a phone could be a card, of fewer it is a phone: cards of
    13 digits are issued no more.
    """
    return len(text) <= _PHONE_UNGUARDED and _PHONE.fullmatch(text) is not None


@lru_cache(maxsize=_SPELLINGS_MAX)
def _account(text: str) -> str:
    """An IBAN (ISO 13616) in capitals without blanks; any other text is a token."""
    bare = "".join(text.split()).upper()
    return bare if is_iban(bare) else text


@lru_cache(maxsize=_SPELLINGS_MAX)
def is_iban(text: str) -> bool:
    """Whether a canonical text is an IBAN: its check digits leave 1 of 97.

    >>> is_iban("DE89370400440532013000"), is_iban("DE88370400440532013000")
    (True, False)
    """
    if not _IBAN.fullmatch(text):
        return False
    turned = text[4:] + text[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1


def _postal_code(text: str) -> str:
    return "".join(text.split()).upper()


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def canonical(text: str) -> str | None:
        bare = text.strip()
        return bare if pattern.fullmatch(bare) else None

    return canonical


EMAIL = Form(
    "an e-mail address such as ann@mail.example, or a token of one",
    _email,
    ("ann@mail.example", "bob@mail.example"),
)
EMAIL_DOMAIN = Form(
    "the domain of an e-mail address such as mail.example",
    _domain,
    ("mail.example", "post.example"),
)
PHONE = Form(
    "a phone number as E.164 has it such as +4915112345678, or a token of one",
    _phone,
    ("+4915112345678", "+33612345678"),
    _is_short_number,
)
IP = Form(
    "an IPv4 or IPv6 address such as 203.0.113.7", _ip, ("203.0.113.7", "2001:db8::1")
)
IP_NETWORK = Form(
    "the /24 of an IPv4 address or the /48 of an IPv6 one such as 203.0.113.0/24",
    _network,
    ("203.0.113.0/24", "2001:db8::/48"),
)
ACCOUNT = Form(
    "an IBAN without blanks such as DE89370400440532013000, or a token of an account",
    _account,
    ("DE89370400440532013000", "GB82WEST12345698765432"),
    is_iban,
)
POSTAL_CODE = Form(
    "a postal code in capitals without blanks such as 10115",
    _postal_code,
    ("10115", "SW1A1AA"),
)
BIN = Form(
    "the first 6 to 8 digits of a card number such as 411111",
    _matching(_BIN),
    ("411111", "51000000"),
)
THREE_DS_VERSION = Form(
    "a version of EMV 3-D Secure such as 2.2.0", _matching(_VERSION), ("2.2.0", "1.0.2")
)
