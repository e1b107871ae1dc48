"""How a case is closed: its label and its list entries, within one transaction."""

from __future__ import annotations

from scoring.control.database.case_labels import CaseLabel
from scoring.control.database.unit_of_work import UnitOfWork
from scoring.control.desks.decided import label_bytes, label_of, payment_in
from scoring.control.desks.list_desk import put_entry
from scoring.control.domain.audit_chain import Change
from scoring.control.domain.cases import (
    LISTINGS_MAX,
    Case,
    CaseListed,
    Closing,
    ClosingWish,
)
from scoring.control.domain.managed_lists import checked_entry
from scoring.control.domain.people import Doing
from scoring.core.features.readable import text_of
from scoring.core.transaction.transaction import Transaction
from scoring.errors import InvalidTransaction, NotPossible


def close_case(work: UnitOfWork, case: Case, wish: ClosingWish, doing: Doing) -> Case:
    """Close an open case as somebody wants it.

    Raises `NotPossible`, `NotFound` for a list, and `InvalidTransaction`.
    """
    case.to_be_closed(doing)
    payment = payment_in(work.cases.decision(case.number))
    said = _label(case, wish, doing)
    if said is not None:
        label = label_of(case.decided, payment, said)
        key = case.decided.card or case.decided.customer
        work.case_labels.add(case.number, said, key=key, value=label_bytes(label))
    closing = Closing(
        wish=wish,
        by=doing.person.name,
        at_ms=doing.at_ms,
        label_version=0 if said is None else said.version,
        listed=_listed(work, case, wish, payment, doing),
    )
    closed = case.closed(closing)
    work.cases.save(closed)
    after = {
        "verdict": wish.verdict,
        "tenant": case.decided.tenant,
        "transaction_id": case.decided.transaction_id,
        "label_version": closing.label_version,
        # The entries' tokens stand in the audit of their lists, once.
        "lists": [each.list for each in closing.listed],
    }
    change = Change(action="case.close", subject=f"case {case.number}", after=after)
    work.audit.record(change, doing)
    return closed


def _label(case: Case, wish: ClosingWish, doing: Doing) -> CaseLabel | None:
    verdict = wish.verdict.label(case.labelled)
    if verdict is None:
        return None
    return CaseLabel(
        version=case.next_label(wish),
        verdict=verdict,
        # Nothing is known before its payment, though its clock may be ahead of ours.
        known_at_ms=max(doing.at_ms, case.decided.occurred_at_ms),
    )


def _listed(
    work: UnitOfWork,
    case: Case,
    wish: ClosingWish,
    payment: Transaction | None,
    doing: Doing,
) -> tuple[CaseListed, ...]:
    if len(wish.listings) > LISTINGS_MAX:
        raise InvalidTransaction("listings", f"at most {LISTINGS_MAX}")
    if wish.listings and payment is None:
        raise NotPossible(
            f"the payment of case {case.number} was written by a later release; bring "
            "the control plane up to it, or put the token on the list by hand"
        )
    assert payment is not None or not wish.listings
    listed = []
    for place, listing in enumerate(wish.listings):
        info = work.lists.named(listing.list)
        token = text_of(info.field)(payment)  # type: ignore[arg-type] # said above
        if not token:
            raise InvalidTransaction(
                f"listings.{place}.list",
                f"{info.name!r} is of {info.field}, which this payment does not have",
            )
        entry = checked_entry(info.field, token, listing.expires, listing.reason)
        put = put_entry(work, info, entry, f"case {case.number}", doing)
        listed.append(
            CaseListed(
                list=info.name,
                token=token,
                until_ms=entry.until_ms,
                revision=put.info.revision,
            )
        )
    return tuple(listed)
