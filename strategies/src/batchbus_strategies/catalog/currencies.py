"""The currencies of ISO 4217: which three letters are one, and the one that somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

__all__ = ["CURRENCIES", "near_currency"]

CURRENCIES: Final = frozenset(
    """
    aed afn all amd aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob bov brl bsd btn bwp byn bzd cad cdf che chf
    chw clf clp cny cop cou crc cup cve czk djf dkk dop dzd egp ern etb eur fjd fkp gbp gel ghs gip gmd gnf gtq gyd hkd
    hnl htg huf idr ils inr iqd irr isk jmd jod jpy kes kgs khr kmf kpw krw kwd kyd kzt lak lbp lkr lrd lsl lyd mad mdl
    mga mkd mmk mnt mop mru mur mvr mwk mxn mxv myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron
    rsd rub rwf sar sbd scr sdg sek sgd shp sle sos srd ssp stn svc syp szl thb tjs tmt tnd top try ttd twd tzs uah ugx
    usd usn uyi uyu uyw uzs ved ves vnd vuv wst xaf xcd xcg xof xpf yer zar zmw zwg
    ang azm byr cuc eek ghc hrk ltl lvl mro mzm rol sdd sit skk sll srg std tmm trl vef zmk zwd zwl
    """.split()  # noqa: SIM905 - a list of two hundred literals says no more
)
"""In lower case: those of list one, and in the last line those that were withdrawn since 2004, which a catalogue may still
have prices in."""


def near_currency(code: str, *, first: Iterable[str] = ()) -> str | None:
    """The currency that `code`, in any case, was probably meant to be: the same letters in another order, or one letter
    else of one of `first`, which are those that the shop has. None if there is none, or the code is no three letters."""
    lowered = code.lower()
    if len(lowered) != 3 or not lowered.isascii() or not lowered.isalpha():
        return None
    if lowered in CURRENCIES:
        return lowered
    first = sorted(set(first))
    swapped = [each for each in (*first, *sorted(CURRENCIES)) if sorted(each) == sorted(lowered)]
    near = swapped or difflib.get_close_matches(lowered, first, n=1, cutoff=0.6)
    return near[0] if near else None
