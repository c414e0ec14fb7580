"""How often the letters of a language are those that ASCII lacks: what encodings are told apart by.

Each alphabet is a text with the frequent letters first. The numbers behind them are rounded from tables of letter
frequencies as they are found in any textbook on cryptanalysis; what matters is their order of magnitude alone.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["ALPHABETS", "ENCODINGS", "PUNCTUATION", "letter_costs"]

ALPHABETS: Final[dict[str, str]] = {
    # Western Europe
    "de": "äüößéèàê",
    "fr": "éàèêçôùîâûïëœæüÿ",
    "es": "óíáñéúüª º¡¿",
    "pt": "ãçáéíõóêâúàôªº",
    "it": "àèùòéì",
    "nl": "éëïèöüóáçñ",
    "sv": "äöåéüà",
    "da": "øåæéöäü",
    "fi": "äöåéšž",
    "is": "íáðéöþúóýæ",
    "ca": "àéíóòèçúïü·",
    # Central Europe
    "pl": "łęóążśćńźéöü",
    "cs": "íáěéýřščžůúňťďóöü",
    "sk": "áíčéžýšúľťôňóäďĺŕ",
    "hu": "áéöőóüíúűä",
    "ro": "ăîâşţșțéö",
    "hr": "čšžćđéö",
    # Turkey and the Baltic states
    "tr": "ıişüçğöâîû",
    "lt": "ėšųūčįžąę",
    "lv": "āīēšūņļžģķč",
    "et": "äõüöšž",
    # Cyrillic, Greek and further south
    "ru": "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",
    "uk": "оанивіетрслкудмпязьгбчйхжїцшюєфщґ",
    "bg": "аиоентрсвлкдпмзугябъщчцжхюшфйь",
    "sr": "аоиенрстујквдмпзлгбћчшжцњђљхфџ",
    "el": "αοιετσνηυρπκμλςωγδχθφβξζψάέήίόύώϊϋ",
    "he": "יוהלאתרמבשנםחדקפעגכטסזןצךףץ",
    "ar": "اليمونرتبعدسفهكحقجطشصةخزثضذغظىأإءؤئآ",
    "th": "านรอกเงมยลวดทสตะปบคหแจพชขใไโผซถศณธฟภฉญฐษฆฏฎฑฒฬฮฝึีิูุัํ่้็๊๋์ๆำ",
}
_CENTRAL: Final = ("pl", "cs", "sk", "hu", "ro", "hr", "de")
_WESTERN: Final = ("de", "fr", "es", "pt", "it", "nl", "sv", "da", "fi", "is", "ca")
ENCODINGS: Final[dict[str, tuple[str, ...]]] = {
    "cp1252": _WESTERN,
    "cp1250": _CENTRAL,
    "cp1251": ("ru", "uk", "bg", "sr"),
    "cp1253": ("el",),
    "cp1254": ("tr",),
    "cp1255": ("he",),
    "cp1256": ("ar",),
    "cp1257": ("lt", "lv", "et"),
    "cp874": ("th",),
    "iso8859-2": _CENTRAL,
    "iso8859-15": _WESTERN,
    "koi8-r": ("ru",),
    "koi8-u": ("uk",),
    "cp866": ("ru", "bg"),
    "cp850": _WESTERN,
    "cp852": _CENTRAL,
    "mac-roman": _WESTERN,
}
"""Encodings of one byte for a character, and the languages that are written in them. Where two give the same text, the
first of them is named."""

PUNCTUATION: Final = "€£°²³½¼¾®©™×«»„“”‘’‚–—…·•§µ±№\xa0¡¿ªº†÷"
_EXPONENT: Final = 1.3
"""The frequency of letters falls about as a power of their rank, steeper where ASCII has most of them."""
_EURO: Final = 2.5
"""The cost of the euro sign, which tables have more often than other texts."""
_SHARE_OF_PUNCTUATION: Final = 0.1


def letter_costs(language: str) -> dict[str, float]:
    """The negative logarithm of the probability of each letter that is not ASCII, in either case, and of punctuation."""
    letters = ALPHABETS[language].replace(" ", "")
    exponent = 0.9 if len(letters) > 20 else _EXPONENT
    weights = [1 / (rank + 1) ** exponent for rank in range(len(letters))]
    total = sum(weights) / (1 - _SHARE_OF_PUNCTUATION)
    costs = {character: -math.log(_SHARE_OF_PUNCTUATION / len(PUNCTUATION)) for character in PUNCTUATION}
    costs["€"] = _EURO
    for letter, weight in zip(letters, weights, strict=True):
        cost = -math.log(weight / total)
        costs[letter] = cost
        upper = letter.upper()
        if len(upper) == 1 and upper != letter:
            costs[upper] = cost
    return costs
