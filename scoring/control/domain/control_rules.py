"""What an installation sets of the control plane's rules, within their limits."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 86_400_000
SINGLE_USER_NOTICE = (
    "single-user mode: nobody else need approve; set SCORING_CONTROL_SINGLE_USER=false "
    "to require a second person"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRules:
    """How strict this installation is.

    An approval lapses after `approval_days`. The gate asks for a reason where more
    than `gate_points` of 100 accepted payments, or of their amount, would be declined,
    and where a backtest judged fewer than `gate_days` days, or fewer than
    `gate_payments` payments that are accepted today.
    """

    single_user: bool = False
    approval_days: float = 7.0
    gate_points: float = 0.5
    gate_days: int = 28  # each day of the week four times
    gate_payments: int = 600  # none declined of 600: at most 0.5 of 100 (95 %)

    @property
    def approval_ms(self) -> int:
        """How long an approval may be used, in ms."""
        return round(self.approval_days * DAY_MS)

    @property
    def notices(self) -> tuple[str, ...]:
        """What every answer says beside its content.

        >>> ControlRules().notices
        ()
        """
        return (SINGLE_USER_NOTICE,) if self.single_user else ()
