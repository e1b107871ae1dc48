"""Erases what is personal of one token in cases and lists, before its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import writing
from scoring.control.desks.list_records import revise
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.cases import Shared
from scoring.control.domain.people import By, Doing, Right
from scoring.control.domain.wordings import checked_why
from scoring.core.release.list_release import REMOVED_MS, token_hash
from scoring.errors import InvalidTransaction

_CASES_COUNT = 100  # of one transaction: others can write in between


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetWish:
    """Whose cases and entries are erased: a token of a card, customer or device.

    Of one tenant, of all by default; entries of lists are everybody's.
    """

    what: Shared
    token: str
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class ForgottenToken:
    """How many cases were erased, and which lists had the token."""

    cases: int = 0
    lists: tuple[str, ...] = ()


class ForgetDesk:
    """Forgets tokens; blocks on the database.

    Raises `Denied`, `InvalidTransaction` and `DatabaseUnavailable`; whoever is
    interrupted says it again.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    def forget(self, by: By, wish: ForgetWish) -> ForgottenToken:
        """Erase what is personal in its cases, and take it off the lists of its field.

        A case that is open ends without a finding, and no label says so. The audit
        tells how many, and not of whom.
        """
        by.person.needs(Right.ADMINISTER)
        _checked(by, wish)
        forgotten = self._off_lists(by, wish)
        while count := self._cases_erased(by, wish):
            forgotten = replace(forgotten, cases=forgotten.cases + count)
            self._database.give_way()
        return forgotten

    def _off_lists(self, by: By, wish: ForgetWish) -> ForgottenToken:
        touched, off = [(token_hash(wish.token), REMOVED_MS)], list[str]()
        with writing(self._database) as work:
            doing = self._doing(by)
            for info in work.lists.all():
                if info.field != wish.what:
                    continue
                count = work.lists.forget(info.name, wish.token)
                if count is not None:
                    off.append(info.name)
                    now = replace(info, count=count)
                    revise(work, now, "an entry was forgotten", touched, doing)
            if off:
                after = {"of_a": wish.what.value, "lists": off}
                change = Change(action="list.forget", subject="lists", after=after)
                work.audit.record(change, doing)
        return ForgottenToken(lists=tuple(off))

    def _cases_erased(self, by: By, wish: ForgetWish) -> int:
        """Erase some of the cases; how many, 0 once none is left."""
        with writing(self._database) as work:
            doing = self._doing(by)
            cases = work.cases.of_token(
                wish.what, wish.token, tenant=wish.tenant, count_max=_CASES_COUNT
            )
            for case in cases:
                work.cases.erase(case.without_finding(doing).forgotten())
                work.case_labels.forget(case.number)
            if cases:
                after = {"of_a": wish.what.value, "count": len(cases)}
                change = Change(action="case.forget", subject="cases", after=after)
                work.audit.record(change, doing)
            return len(cases)

    def _doing(self, by: By) -> Doing:
        return replace(by, why=checked_why(by.why)).at(self._now_ms())


def _checked(by: By, wish: ForgetWish) -> None:
    if wish.what is Shared.PAYMENT:
        raise InvalidTransaction("shared", "must be card, customer or device")
    if not wish.token:
        raise InvalidTransaction("token", "is required")
    if wish.token in by.why:
        raise InvalidTransaction(
            "why", "names the token, and the audit would keep it for ever"
        )
