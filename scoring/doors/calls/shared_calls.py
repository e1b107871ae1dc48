"""Everything that can be called: one for all doors of a process."""

from __future__ import annotations

from dataclasses import dataclass

from scoring.doors.calls.call_watch import CallWatch
from scoring.doors.calls.checks import Checks
from scoring.doors.calls.follow_ups import FollowUpDesk
from scoring.doors.calls.lookups import Lookups
from scoring.doors.calls.requests import Intake


@dataclass(frozen=True, slots=True)
class SharedCalls:
    """Shared by the doors, so that quotas, single flight and micro-batches are too."""

    intake: Intake
    checks: Checks
    lookups: Lookups
    follow_ups: FollowUpDesk
    watch: CallWatch
