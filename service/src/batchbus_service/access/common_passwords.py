"""Passwords that are tried first by those who guess: words from lists of leaked passwords, and variations of them.

A list of every leaked password has millions. This one has what these are made of, and takes from a password what people
add to such a word: digits and signs around it, capitals, and digits for letters.
"""

from __future__ import annotations

from typing import Final

__all__ = ["is_common"]

_COMMON: Final = frozenset(
    """
    abc abcd abcde abcdef abcdefg abcdefgh access admin administrator adobe aaron alexander amanda andrea andrew angel anthony
    apple asdf asdfgh asdfghjk asdfghjkl ashley austin azerty bailey banana baseball basketball batchbus batman beer biteme
    blink buster butterfly changeme charlie cheese chelsea chicken chocolate computer cookie cowboys daniel default demo
    diamond dragon eagles facebook family ferrari flower football freedom friend friends fuckyou gandalf george ginger google
    guest hannah harley hello heather hockey hunter iceman iloveyou internet jasmine jennifer jessica jesus john jordan
    joshua justin killer killme knight letmein liverpool login london loveme lovely maggie manager master matrix matthew
    maverick medusa melissa merlin michael michelle mickey monkey monster mustang mynoob nicole ninja nothing oliver
    orange passw pass passphrase password passwort patrick peanut pepper phoenix pokemon princess purple qazwsx qazwsxedc
    qwert qwerty qwertyu qwertyui qwertyuiop qwertz rabbit rabbitmq ranger robert root samantha samsung secret shadow
    silver slayer smokey snoopy soccer solo sophie spider spring starwars summer autumn winter sunshine superman system
    taylor tennis test tester testing thomas thunder tigger toor trustno trustnoone user welcome whatever william winner
    yankees yellow zaq zxcvb zxcvbn zxcvbnm qweasd qweasdzxc motdepasse contrasena hallo geheim sommer schatz passwd
    """.split()  # noqa: SIM905 - a list of two hundred literals says no more
)
_LEET: Final = str.maketrans("01345789@$!", "oleastbgasi")
_AFFIXES: Final = "0123456789 !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~§€£"
_DIFFERENT: Final = 6
"""Characters that have to differ in a password of digits and signs alone."""
_NAME: Final = 4
"""Letters of a name that is looked for; shorter ones are in many a word."""
_RUNS: Final = (
    "01234567890123456789",
    "98765432109876543210",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
)


def is_common(password: str, *own: str) -> bool:
    """Whether it is one of those that are tried first. `own`: what its user is called, and so no good password."""
    plain = password.casefold()
    bare, letters = plain.strip(_AFFIXES), plain.translate(_LEET)
    if not bare:  # digits and signs alone
        return len(set(plain)) < _DIFFERENT or any(plain in run for run in _RUNS)
    known = _COMMON | {name.casefold() for name in own if len(name) >= _NAME}
    forms = {plain, bare, letters, letters.strip(_AFFIXES), bare.translate(_LEET)}
    return bool(forms & known) or any(plain in run for run in _RUNS) or _repeated(plain)


def _repeated(text: str) -> bool:
    """Whether it is one short piece over and over, or a common word twice."""
    size = (text + text).find(text, 1)
    return size < len(text) and (size <= _NAME or text[:size].strip(_AFFIXES) in _COMMON)
