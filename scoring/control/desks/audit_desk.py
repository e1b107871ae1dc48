"""The audit, read, verified and exported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from scoring.control.database.database import Database
from scoring.control.database.unit_of_work import reading
from scoring.control.domain.audit_chain import AuditEntry, Head, verified
from scoring.control.domain.people import Person, Right

_EXPORTED_MAX = 1_000  # entries that are in memory at once


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What a verification found; no problems: the chain is whole up to `head`."""

    head: Head
    problems: tuple[str, ...]


class AuditDesk:
    """Reads the audit; nobody changes it here. Blocks on the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(
        self,
        person: Person,
        *,
        after: int = 0,
        subject: str = "",
        action: str = "",
        count_max: int = 100,
    ) -> list[AuditEntry]:
        """Entries in order, after a sequence; of a subject or action where named."""
        person.needs(Right.READ)
        with reading(self._database) as work:
            found = work.audit.entries(
                after=after, subject=subject, action=action, count_max=count_max
            )
            return list(found)

    def newest(
        self,
        person: Person,
        *,
        below: int | None,
        subject: str,
        action: str,
        count_max: int,
    ) -> list[AuditEntry]:
        """Entries before a sequence, the newest first; else as `entries`."""
        person.needs(Right.READ)
        with reading(self._database) as work:
            return work.audit.newest(
                below=below, subject=subject, action=action, count_max=count_max
            )

    def verify(
        self, person: Person, anchors: Mapping[int, str] | None = None
    ) -> AuditVerdict:
        """Whether any entry was changed, left out, moved or cut off.

        What each release carries of the audit anchors it. Whoever can write the
        database can rewrite those too: pass the hashes that are known from elsewhere,
        such as the topic's release or a replica's disk, as `anchors`.
        """
        person.needs(Right.READ)
        with reading(self._database) as work:
            known = {**work.policies.anchors(), **(anchors or {})}
            head = work.audit.head
            if head.sequence:
                known.setdefault(head.sequence, head.hash)
            problems = verified(work.audit.entries(), known)
            return AuditVerdict(head, tuple(problems))

    def export(self, person: Person, *, after: int = 0) -> Iterator[str]:
        """Every entry after a sequence, one line of JSON each, with its line feed.

        `before` and `after` are texts of JSON, as they were hashed.
        """
        person.needs(Right.READ)
        # By pages: whoever reads slowly would keep a connection of the few there are.
        while page := self.entries(person, after=after, count_max=_EXPORTED_MAX):
            for entry in page:
                yield json.dumps(asdict(entry), ensure_ascii=False) + "\n"
            after = page[-1].sequence
