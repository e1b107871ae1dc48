"""Every catalogue that comes with the package."""

from __future__ import annotations

from functools import cache

from scoring.core.features.catalogue import (
    Catalogue,
    default_catalogue,
    handbook_catalogue,
    load_default,
)

_KINDS = ("ecommerce", "pos", "account-to-account")


@cache
def shipped_catalogues() -> tuple[Catalogue, ...]:
    """The default, the Handbook's, and those by kind of payment.

    >>> [catalogue.name for catalogue in shipped_catalogues()][2:]
    ['ecommerce', 'pos', 'account-to-account']
    """
    by_kind = (load_default(f"features-{kind}") for kind in _KINDS)
    return (default_catalogue(), handbook_catalogue(), *by_kind)
