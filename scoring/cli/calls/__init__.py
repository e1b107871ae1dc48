"""The commands that call a running service: the package alone is enough for them.

They read their options with the standard library, so that nothing else is installed.
"""

SUMMARIES = {
    "check": "have a payment judged: from a JSON file, stdin or options.",
    "decision": "show what was decided of a payment, its labels and events.",
    "explain": "show what each feature added to the score of a decision.",
    "label": "report what turned out to be true of a payment.",
    "event": "report what happened to a payment after its decision.",
}
# What the environment says of the service that is called.
TARGET = "SCORING_TARGET"


def is_target(variable: str) -> bool:
    """Whether a variable is of these commands, and no setting of a service.

    >>> is_target("SCORING_TARGET_CA_FILE"), is_target("SCORING_BUDGET_MS")
    (True, False)
    """
    return variable == TARGET or variable.startswith(f"{TARGET}_")
