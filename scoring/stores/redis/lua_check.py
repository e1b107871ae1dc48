"""The sum that a stored record is checked by, written out for the store's program."""

from __future__ import annotations

from collections.abc import Collection

_PRIME, _MODULUS = 65_521, 1 << 24


def lua_check(width: int, reals: Collection[int]) -> str:
    """The sum over a record's numbers, of which some are reals, as a function of Lua.

    Written out, since a loop over the numbers was a fifth of the program's steps.

    >>> lua_check(2, [])
    'function(r) return (7+r[1]%65521*3+r[2]%65521*5)%16777216 end'
    """
    parts = [
        f"floor(r[{i}])%{_PRIME}*{2 * i + 1}"
        if i in reals
        else f"r[{i}]%{_PRIME}*{2 * i + 1}"
        for i in range(1, width + 1)
    ]
    if not reals:
        return f"function(r) return (7+{'+'.join(parts)})%{_MODULUS} end"
    parts += [f"fraction(r[{i}],{i})" for i in reals]
    total = f"floor(7+{'+'.join(parts)})"
    return f"function(r,floor,fraction) return {total}%{_MODULUS} end"
