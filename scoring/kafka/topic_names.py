"""The topics: their names, and the key of their records."""

from __future__ import annotations

from dataclasses import dataclass

from scoring.core.transaction.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Topics:
    """Topic names of one namespace.

    >>> Topics("replay-1.").decisions
    'replay-1.decisions'
    """

    prefix: str = ""

    @property
    def transactions(self) -> str:
        """Payment attempts to be judged."""
        return f"{self.prefix}transactions"

    @property
    def decisions(self) -> str:
        """Everything decided, through any door, with its transaction."""
        return f"{self.prefix}decisions"

    @property
    def challenger(self) -> str:
        """What challengers would have decided; no door needs it."""
        return f"{self.prefix}decisions.challenger"

    @property
    def labels(self) -> str:
        """What turned out to be true."""
        return f"{self.prefix}labels"

    @property
    def events(self) -> str:
        """What happened to payments after their decisions."""
        return f"{self.prefix}events"

    @property
    def transactions_dead_letter(self) -> str:
        """Transactions that could not be judged."""
        return f"{self.prefix}transactions.dead-letter"

    @property
    def labels_dead_letter(self) -> str:
        """Labels that could not be applied."""
        return f"{self.prefix}labels.dead-letter"

    @property
    def events_dead_letter(self) -> str:
        """Lifecycle events that could not be applied."""
        return f"{self.prefix}events.dead-letter"

    @property
    def control(self) -> str:
        """What the control plane released: policies and lists, the newest of each."""
        return f"{self.prefix}control"

    @property
    def control_replicas(self) -> str:
        """What each process reports to run."""
        return f"{self.prefix}control.replicas"

    @property
    def group(self) -> str:
        """The consumer group of the stream door's workers."""
        return f"{self.prefix}scoring-stream"

    @property
    def all(self) -> tuple[str, ...]:
        """Every topic that the doors read or write."""
        return (
            self.transactions,
            self.decisions,
            self.labels,
            self.events,
            self.transactions_dead_letter,
            self.labels_dead_letter,
            self.events_dead_letter,
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the stream door's workers read."""
        return self.transactions, self.labels, self.events

    @property
    def controlled(self) -> tuple[str, ...]:
        """The topics between the control plane and the processes that follow it."""
        return self.control, self.control_replicas

    @property
    def created(self) -> tuple[str, ...]:
        """What `scoring topics create` makes: the doors' topics, the shadow's, and
        the control plane's.
        """
        return (*self.all, self.challenger, *self.controlled)


def key_of(transaction: Transaction) -> bytes | None:
    """The record key: the card, else the customer; None for neither.

    >>> key_of(Transaction("default", "t1", customer="c9"))
    b'c9'
    """
    return (transaction.card or transaction.customer).encode() or None
