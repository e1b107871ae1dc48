"""Names what looks like a setting in the environment and is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

from scoring.settings import PREFIX, Settings

# What Kubernetes sets in every pod for a service whose name begins with "scoring".
_SERVICE_LINK = re.compile(
    r".*(_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
_ALIKE = 0.7  # of 1: two letters in ten may be wrong
_SERVICE_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")


def unread_settings(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that is named like a setting and is none.

    >>> unread_settings({"SCORING_REDIS_ULR": "redis://h", "SCORING_BUDGET_MS": "9"})
    ['SCORING_REDIS_ULR is no setting and is not read; the nearest: SCORING_REDIS_URL']
    """
    known = {name.upper() for name in Settings.model_fields}
    lines = []
    for name, value in sorted(environment.items()):
        written = name.upper()
        own = written.removeprefix(PREFIX)
        if own in known or own == written:
            continue
        if _SERVICE_LINK.fullmatch(written) or _SERVICE_LINK_VALUE.match(value):
            continue
        line = f"{name} is no setting and is not read"
        nearest = get_close_matches(own, known, n=1, cutoff=_ALIKE)
        told = f"; the nearest: {PREFIX}{nearest[0]}" if nearest else ""
        lines.append(line + told)
    return lines
