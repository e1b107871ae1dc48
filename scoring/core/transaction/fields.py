"""The words in which a transaction's fields are declared, each once.

`transaction.Transaction` is the declaration. Limits, payload hash, card-number guard,
wire, tables, rules, features, segments and lists are derived from what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, fields, replace
from enum import Enum, IntEnum, auto
from itertools import groupby
from typing import Any, get_type_hints

from scoring.core.transaction.codes import CodeSet, named
from scoring.core.transaction.forms import Form

Members = type[IntEnum]
_USUAL_MAX = 20  # the fields that a payment of any kind may bring


class FieldType(Enum):
    """What the values of a field are; each part of the system knows each of them."""

    TEXT = auto()  # "" unknown
    CODE = auto()  # a text of a closed set of codes; "" unknown
    NAME = auto()  # the number of a member of an enumeration; 0 unknown
    WHOLE = auto()  # a whole number
    MONEY = auto()  # minor units of the transaction's currency
    REAL = auto()
    INSTANT = auto()  # milliseconds since 1970, UTC
    TEXTS = auto()  # texts by keys of the caller's own
    NUMBERS = auto()  # reals by keys of the caller's own; no key: unknown


class Role(Enum):
    """What a field is for."""

    SCOPE = auto()  # whose ids, lists, policies and features
    IDENTITY = auto()  # which payment, which attempt
    ENTITY = auto()  # whom history attaches to; may be another's counterpart
    CATEGORY = auto()  # one of a few: filters, segments and lists ask for it
    NUMBER = auto()  # measured or compared
    EXTRA = auto()  # carried and guarded, read by nothing


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a transaction; `text`, `code` … say it in the declaration.

    `number` is the protobuf field's, which orders the payload hash; `path` where the
    message holds it ("location.latitude"), and what errors call it. `absent` is what
    means "not known": "", 0 or None; a required field's is refused. Numbers lie
    between `low` and `high`, texts are at most `characters_max`; one of a `form` is
    read in its canonical spelling. What is `personal` says something of a person, and
    is never written but where payments are kept; who `names_payer` is forgotten with
    all that is personal in their payments.
    """

    number: int
    type: FieldType
    role: Role
    path: str = ""
    name: str = ""
    absent: object = None
    required: bool = False
    low: float = 0
    high: float = 0
    characters_max: int = 0
    entries_max: int = 0
    key_characters_max: int = 0
    pattern: re.Pattern[str] | None = None
    told: str = ""
    codes: CodeSet | None = None
    form: Form | None = None
    members: Members | None = None
    in_rules: bool = True
    personal: bool = False
    names_payer: bool = False

    @property
    def is_token(self) -> bool:
        """Whether it is a text of the caller's own, which may hide a card number."""
        return self.type is FieldType.TEXT and self.pattern is None

    @property
    def is_rare(self) -> bool:
        """Whether most payments lack it: one test for all of them says that they do."""
        return self.number > _USUAL_MAX

    @property
    def is_map(self) -> bool:
        """Whether its values have keys of the caller's own."""
        return self.type in {FieldType.TEXTS, FieldType.NUMBERS}

    @property
    def is_text(self) -> bool:
        """Whether rules and tables see it as a text that is kept as one."""
        return self.type in {FieldType.TEXT, FieldType.CODE}

    @property
    def member_names(self) -> dict[int, str]:
        """The known members of an enumeration, by their numbers."""
        return {int(m): m.name for m in self.members or () if m}

    @property
    def is_selectable(self) -> bool:
        """Whether lists and segments may ask for it."""
        return self.role in {Role.ENTITY, Role.CATEGORY}


def text(
    number: int,
    role: Role,
    *,
    characters_max: int,
    required: bool = False,
    form: Form | None = None,
) -> Field:
    """A text that may hold a token, never a card number."""
    return Field(
        number, FieldType.TEXT, role, characters_max=characters_max, required=required,
        form=form,
    )  # fmt: skip


def code(number: int, codes: CodeSet, *, required: bool = False) -> Field:
    """A text of a closed set."""
    return Field(number, FieldType.CODE, Role.CATEGORY, codes=codes, required=required)


def name(number: int, members: type[IntEnum]) -> Field:
    """A member of an enumeration: 0 is "not known", and its numbers rise by 1."""
    known = named(member.name for member in members if member)
    return Field(
        number, FieldType.NAME, Role.CATEGORY, codes=known, members=members,
        high=max(members),
    )  # fmt: skip


def whole(number: int, *, high: int, low: int = 0) -> Field:
    """A whole number."""
    return Field(number, FieldType.WHOLE, Role.NUMBER, low=low, high=high)


def money(number: int, *, high: int) -> Field:
    """An amount in minor units of the transaction's currency."""
    return Field(number, FieldType.MONEY, Role.NUMBER, high=high)


def real(number: int, path: str = "", *, low: float, high: float) -> Field:
    """A real number; those within one message are given together or not at all."""
    return Field(
        number,
        FieldType.REAL,
        Role.NUMBER,
        path=path,
        low=low,
        high=high,
        in_rules=False,
    )


def instant(number: int, *, low: int, high: int, path: str) -> Field:
    """When something was; truncated to milliseconds."""
    return Field(
        number,
        FieldType.INSTANT,
        Role.NUMBER,
        path=path,
        low=low,
        high=high,
        required=True,
    )


def texts(
    number: int, *, entries_max: int, key_characters_max: int, characters_max: int
) -> Field:
    """Texts by keys of the caller's own, guarded as tokens are; they may say anything
    of a person.
    """
    return Field(
        number, FieldType.TEXTS, Role.EXTRA, entries_max=entries_max, in_rules=False,
        key_characters_max=key_characters_max, characters_max=characters_max,
        personal=True,
    )  # fmt: skip


def numbers(
    number: int, *, entries_max: int, key_characters_max: int, high: float
) -> Field:
    """Reals from -`high` to `high` by keys of the caller's own."""
    return Field(
        number, FieldType.NUMBERS, Role.EXTRA, entries_max=entries_max, in_rules=False,
        key_characters_max=key_characters_max, low=-high, high=high,
    )  # fmt: skip


def derived(name: str, role: Role, form: Form) -> Field:
    """A text that is worked out from another field, and carried by no message."""
    return Field(0, FieldType.TEXT, role, path=name, name=name, absent="", form=form)


def personal(field: Field, *, names_payer: bool = False) -> Field:
    """The field as one that says something of a person, or names the payer."""
    return replace(field, personal=True, names_payer=names_payer)


def declared(cls: type) -> tuple[Field, ...]:
    """The fields that a dataclass declares by its annotations, in its order.

    Raises `TypeError` for one that says nothing, and for one out of the order of the
    payload hash.
    """
    hints = get_type_hints(cls, include_extras=True)
    found: list[Field] = []
    for own in fields(cls):
        said = [m for m in getattr(hints[own.name], "__metadata__", ()) if _is(m)]
        if not said:
            raise TypeError(f"{own.name} says nothing of itself: see fields.py")
        path = said[0].path or own.name
        found.append(replace(said[0], name=own.name, path=path, absent=_absent(own)))
        if len(found) > 1 and found[-2].number > found[-1].number:
            raise TypeError(f"{own.name} comes before a field of a lower number")
    return tuple(found)


def _is(metadata: object) -> bool:
    return isinstance(metadata, Field)


def _absent(own: Any) -> object:
    if own.default_factory is not MISSING:
        return own.default_factory()
    if own.default is MISSING:
        return ""
    return int(own.default) if isinstance(own.default, IntEnum) else own.default


def names(fields: Iterable[Field], *types: FieldType) -> tuple[str, ...]:
    """The names of the fields of some types, in field order."""
    return tuple(field.name for field in fields if field.type in types)


def any_of(fields: Iterable[Field]) -> str:
    """Python that tells whether any of these optional fields is known.

    >>> any_of([Field(21, FieldType.TEXT, Role.ENTITY, name="email", absent="")])
    't.email'
    """
    return " or ".join(
        f"t.{field.name}{'' if field.absent is not None else ' is not None'}"
        for field in fields
    )


def together(fields: Iterable[Field]) -> Iterator[list[Field]]:
    """The fields that are within one message of the payload: they share a number."""
    for _, group in groupby(fields, key=lambda field: field.number):
        inner = list(group)
        if "." in inner[0].path:
            yield inner
