"""A unit of work: what is changed, its audit and its outbox, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from sqlalchemy import Connection, select

from scoring.control.database.audit_log import AuditLog
from scoring.control.database.backtest_jobs import BacktestJobs
from scoring.control.database.case_labels import CaseLabels
from scoring.control.database.case_positions import CaseBulks, CasePositions
from scoring.control.database.cases import Cases
from scoring.control.database.database import Database
from scoring.control.database.list_imports import ListImports
from scoring.control.database.list_revisions import ListRevisions
from scoring.control.database.model_proposals import ModelProposals
from scoring.control.database.outbox import ControlOutbox
from scoring.control.database.policies import Policies
from scoring.control.database.tables import HEADS
from scoring.control.database.token_lists import TokenLists


class UnitOfWork:
    """One transaction, by subject; what it holds ends with it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @cached_property
    def audit(self) -> AuditLog:
        """The audit's entries."""
        return AuditLog(self.connection)

    @cached_property
    def outbox(self) -> ControlOutbox:
        """Records on their way to the topic `control`."""
        return ControlOutbox(self.connection)

    @cached_property
    def backtest_jobs(self) -> BacktestJobs:
        """Backtests that the control plane runs."""
        return BacktestJobs(self.connection)

    @cached_property
    def cases(self) -> Cases:
        """Cases and their notes."""
        return Cases(self.connection)

    @cached_property
    def case_bulks(self) -> CaseBulks:
        """What was done with many cases."""
        return CaseBulks(self.connection)

    @cached_property
    def case_labels(self) -> CaseLabels:
        """Labels of closed cases."""
        return CaseLabels(self.connection)

    @cached_property
    def case_positions(self) -> CasePositions:
        """How far the decisions topic was read."""
        return CasePositions(self.connection)

    @cached_property
    def lists(self) -> TokenLists:
        """Managed lists and their entries."""
        return TokenLists(self.connection)

    @cached_property
    def imports(self) -> ListImports:
        """Imports of files into managed lists."""
        return ListImports(self.connection)

    @cached_property
    def model_proposals(self) -> ModelProposals:
        """Models that were proposed as the champion."""
        return ModelProposals(self.connection)

    @cached_property
    def revisions(self) -> ListRevisions:
        """The revisions of managed lists."""
        return ListRevisions(self.connection)

    @cached_property
    def policies(self) -> Policies:
        """Versions, proposals, backtests and releases."""
        return Policies(self.connection)


@contextmanager
def reading(database: Database) -> Iterator[UnitOfWork]:
    """What is kept, as of one instant."""
    with database.reading() as connection:
        yield UnitOfWork(connection)


@contextmanager
def writing(database: Database) -> Iterator[UnitOfWork]:
    """A change, committed whole at the end or not at all.

    One writer at a time: it locks the one row of `heads`, so that the audit is one
    chain and the outbox's sequences rise in the order of commits.
    """
    with database.writing() as connection:
        connection.execute(select(HEADS).with_for_update()).one()
        yield UnitOfWork(connection)
