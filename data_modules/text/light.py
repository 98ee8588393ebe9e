"""The small normaliser: rules for what English texts hold besides words, in the order they are applied.

It knows no grammar: "St." is a saint before a name and a street elsewhere, a number of four digits from 1000 to 2099 is
read as a year, "in." and "no." stay what they are. ``text.normaliser=nemo`` knows more.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from data_modules.text import numbers
from data_modules.text.numbers import MONTHS, number_words, ordinal_words, written_number, year_words

_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}
#: Unit -> singular and plural, after a number.
_UNITS = {
    **{"km": ("kilometer", "kilometers"), "cm": ("centimeter", "centimeters"), "mm": ("millimeter", "millimeters")},
    **{"m": ("meter", "meters"), "kg": ("kilogram", "kilograms"), "g": ("gram", "grams"), "mg": ("milligram",) * 2},
    **{"lb": ("pound", "pounds"), "lbs": ("pound", "pounds"), "oz": ("ounce", "ounces"), "ft": ("foot", "feet")},
    **{"yd": ("yard", "yards"), "mi": ("mile", "miles"), "mph": ("mile per hour", "miles per hour")},
    **{"km/h": ("kilometer per hour", "kilometers per hour"), "kph": ("kilometer per hour", "kilometers per hour")},
    **{"m/s": ("meter per second", "meters per second"), "hr": ("hour", "hours"), "hrs": ("hour", "hours")},
    **{"min": ("minute", "minutes"), "sec": ("second", "seconds"), "ms": ("millisecond", "milliseconds")},
    **{"Hz": ("hertz", "hertz"), "kHz": ("kilohertz",) * 2, "MHz": ("megahertz",) * 2, "GHz": ("gigahertz",) * 2},
    **{"kB": ("kilobyte", "kilobytes"), "KB": ("kilobyte", "kilobytes"), "MB": ("megabyte", "megabytes")},
    **{"GB": ("gigabyte", "gigabytes"), "TB": ("terabyte", "terabytes"), "ml": ("milliliter", "milliliters")},
    **{"W": ("watt", "watts"), "kW": ("kilowatt", "kilowatts"), "kWh": ("kilowatt hour", "kilowatt hours")},
    **{"V": ("volt", "volts"), "dB": ("decibel", "decibels"), "km²": ("square kilometer", "square kilometers")},
    **{"m²": ("square meter", "square meters"), "°C": ("degree Celsius", "degrees Celsius")},
    **{"°F": ("degree Fahrenheit", "degrees Fahrenheit"), "°": ("degree", "degrees"), "%": ("percent", "percent")},
    **{"¢": ("cent", "cents"), "l": ("liter", "liters"), "L": ("liter", "liters")},
}
#: Abbreviation, with its full stop -> what is said. Those in ``_TITLES`` never end a sentence.
_TITLES = {
    **{"Mr": "Mister", "Mrs": "Missus", "Messrs": "Messieurs", "Prof": "Professor", "Capt": "Captain"},
    **{"Col": "Colonel", "Gen": "General", "Lt": "Lieutenant", "Sgt": "Sergeant", "Maj": "Major", "Rev": "Reverend"},
    **{"Hon": "Honorable", "Gov": "Governor", "Sen": "Senator", "Rep": "Representative", "Pres": "President"},
    **{"Mt": "Mount", "Ft": "Fort", "Fr": "Father", "Cpl": "Corporal", "Adm": "Admiral", "Supt": "Superintendent"},
}
_ABBREVIATIONS = {
    **{"etc": "et cetera", "vs": "versus", "e.g": "for example", "i.e": "that is", "Jr": "Junior", "Sr": "Senior"},
    **{"Ave": "Avenue", "Blvd": "Boulevard", "Rd": "Road", "Inc": "Incorporated", "Ltd": "Limited", "Co": "Company"},
    **{"Corp": "Corporation", "Bros": "Brothers", "approx": "approximately", "dept": "department"},
    **{"Dept": "Department", "est": "established", "Est": "Established", "Univ": "University", "Assn": "Association"},
    **{"cf": "compare", "viz": "namely", "al": "al", "ca": "circa", "Esq": "Esquire"},
}
#: Abbreviations before a number only.
_COUNTED = {"no": "number", "vol": "volume", "pp": "pages", "p": "page", "fig": "figure", "ch": "chapter"}
_SHORT_MONTHS = {name[:3]: name for name in MONTHS} | {"Sept": "September"}
_LONG_MONTHS = {name: name for name in MONTHS}
#: Before a Roman numeral that counts; any other capitalised name before it is a ruler's or an heir's.
_COUNTING = frozenset(
    """Act Apollo Appendix Article Book Canto Chapter Class Division Episode Figure Grade Group Level Mark Number Part
    Phase Plate Psalm Scene Section Stage Table Title Type Volume War Bowl Rocky Unit Tome Exhibit Annex""".split()  # noqa: SIM905
)
#: Names that a single V or X follows as a number.
_RULERS = frozenset(
    "Alfonso Charles Edward Ferdinand Frederick George Henry James John Leo Louis Paul Philip Pius Sixtus".split()  # noqa: SIM905
)
_NO_NAMES = frozenset("A An And At By For From He Her His I In It My Of On Or Our She The To Your".split())  # noqa: SIM905
_SIGNS = {"&": "and", "=": "equals", "+": "plus", "@": "at", "×": "times", "÷": "divided by", "§": "section"}
_PUNCTUATED = {".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", "?": "question mark", "=": "equals"}
_ADDRESS_SIGNS = {**_PUNCTUATED, "&": "and", "#": "hash", ":": "colon", "%": "percent", "+": "plus", "~": "tilde"}

_NUMBER = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_SCALE = r"hundred|thousand|million|billion|trillion"
_MONTH = "|".join((*MONTHS, *(rf"{name}\." for name in _SHORT_MONTHS if name != "May")))
_TOP = "com|org|net|edu|gov|io|info|ai|dev|app|uk|de|fr|eu|us|ca|au|jp|ch|tv|me"
_YEAR = r"1\d{3}|20\d\d"
_SENTENCE_END = re.compile(r"(?=\s*$|\s+[\"'“‘(]?[A-Z])")
_CAPITAL_NEXT = re.compile(r"\s+[A-Z]")
_NAME_BEFORE = re.compile(r"[A-Z]\w*\s+$")
#: Characters before a match that a rule looks at: looking at all of them, a text's cost would grow with its square.
_BEFORE = 50


def address_words(address: str) -> str:
    """Say a web or e-mail address: ``www`` letter by letter, ``.`` as dot, digits one by one."""
    address = re.sub(r"^(?:https?|ftp)://", "", address, flags=re.IGNORECASE).rstrip("/")
    parts = []
    for item in re.findall(r"[^\W\d_]+|\d|[^\w\s]|_", address):
        if item.isdigit():
            parts.append(numbers.digit_words(item))
        elif item.lower() == "www":
            parts.append("w w w")
        else:
            parts.append(_ADDRESS_SIGNS.get(item, item if item.isalpha() else ""))
    return " ".join(part for part in parts if part)


def _month(name: str) -> str:
    plain = name.rstrip(".")
    return _LONG_MONTHS.get(plain) or _SHORT_MONTHS[plain]


def _day_first(match: re.Match[str]) -> str:
    day, month, comma, year = match.groups()
    if not 1 <= int(day) <= 31:
        return match[0]
    the = "" if _before(match).rstrip().lower().endswith("the") else "the "
    return f"{the}{ordinal_words(int(day))} of {_month(month)}" + (f"{comma}{year_words(int(year))}" if year else "")


def _month_first(match: re.Match[str]) -> str:
    month, day, year = match.groups()
    if not 1 <= int(day) <= 31:
        return match[0]
    return f"{_month(month)} {ordinal_words(int(day))}" + (f", {year_words(int(year))}" if year else "")


def _date(year: str, month: str, day: str, written: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return written
    return f"{MONTHS[int(month) - 1]} {ordinal_words(int(day))}, {year_words(int(year))}"


def _money(match: re.Match[str]) -> str:
    sign, amount, scale = match.groups()
    one, many, cent, cents = _CURRENCIES[sign]
    if scale:
        return f"{written_number(amount)} {scale} {many}"
    return numbers.money_words(amount, one, many, cent, cents)


def _time(match: re.Match[str]) -> str:
    hour, minute, seconds, half = match.groups()
    # The full stop of "p.m." at the end of a sentence is the sentence's too.
    said = numbers.time_words(int(hour), int(minute or 0), f"{half[0].lower()}.m." if half else "")
    return f"{said} and {number_words(int(seconds))} seconds" if seconds else said


def _unit(match: re.Match[str]) -> str:
    amount, unit = match.groups()
    return f"{written_number(amount)} {_UNITS[unit][amount != '1']}"


def _roman(match: re.Match[str]) -> str:
    name, letters = match.groups()
    value = numbers.roman_value(letters)
    if value is None or name in _NO_NAMES or (name in ("Class", "Type") and len(letters) > 4):
        return match[0]
    if name in _COUNTING:
        return f"{name} {number_words(value)}"
    if (len(letters) == 1 and name not in _RULERS) or letters == "I" or value > 40:
        return match[0]
    return f"{name} the {ordinal_words(value)}"


def _saint(match: re.Match[str]) -> str:
    return "Saint" if _CAPITAL_NEXT.match(match.string, match.end()) else _stopped("Street", match)


def _doctor(match: re.Match[str]) -> str:
    after_name = _NAME_BEFORE.search(_before(match))
    before_name = _CAPITAL_NEXT.match(match.string, match.end())
    return _stopped("Drive", match) if after_name and not before_name else "Doctor"


def _stopped(words: str, match: re.Match[str]) -> str:
    """Keep the full stop of an abbreviation that ends the sentence."""
    return words + ("." if _SENTENCE_END.match(match.string, match.end()) else "")


def _before(match: re.Match[str]) -> str:
    """What stands right before a match."""
    return match.string[max(match.start() - _BEFORE, 0) : match.start()]


def _fraction(match: re.Match[str]) -> str:
    above, below = int(match[1]), int(match[2])
    return numbers.fraction_words(above, below) or f"{written_number(match[1])} {written_number(match[2])}"


def _names(table: dict[str, str]) -> str:
    return "|".join(sorted((re.escape(name) for name in table), key=len, reverse=True))


Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]


def _rules() -> tuple[Rule, ...]:
    units = "|".join(sorted((re.escape(unit) for unit in _UNITS), key=len, reverse=True))
    ignore = re.IGNORECASE
    table: list[tuple[str, Callable[[re.Match[str]], str], int]] = [
        # Addresses first: what stands in them is no number and no abbreviation.
        (r"(?:(?:https?|ftp)://|\bwww\.)[^\s<>\"“”]*[\w/]", lambda m: address_words(m[0]), ignore),
        (r"\b[\w.+-]+@\w[\w-]*(?:\.\w[\w-]*)+", lambda m: address_words(m[0]), 0),
        (rf"\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:{_TOP})\b(?:/[\w/._~-]*\w)?", lambda m: address_words(m[0]), 0),
        (r"#(?=\d)", lambda m: "number ", 0),
        (r"#(?=[^\W\d_])", lambda m: "hashtag ", 0),
        # Dates and times.
        (r"\b(\d{4})-(\d\d?)-(\d\d?)\b", lambda m: _date(m[1], m[2], m[3], m[0]), 0),
        (rf"\b(\d\d?)/(\d\d?)/({_YEAR})\b", lambda m: _date(m[3], m[1], m[2], m[0]), 0),
        (rf"\b(\d\d?)(?:st|nd|rd|th)?(?: of)? ({_MONTH})(?!\w)(?:(,? )({_YEAR})\b)?", _day_first, 0),
        (rf"\b({_MONTH}) (\d\d?)(?:st|nd|rd|th)?\b(?:,? ({_YEAR})\b)?", _month_first, 0),
        (r"\b(1\d|2[0-4]|0?\d):([0-5]\d)(?::([0-5]\d))?(?:\s?([ap]\.?m\.?)(?!\w))?(?![\d:])", _time, ignore),
        (r"\b(1[0-2]|0?[1-9])()()\s?([ap]\.?m\.?)(?!\w)", _time, ignore),
        (r"(?<!\w)['’](\d)0s\b", lambda m: numbers.decade_words(int(m[1] + "0")), 0),
        (rf"\b({_YEAR})['’]?s\b", lambda m: numbers.decade_words(int(m[1])), 0),
        (r"\b(\d)0s\b", lambda m: numbers.decade_words(int(m[1] + "0")), 0),
        # Telephone numbers, then sums of money, fractions, measures, ordinals and what is left.
        (r"\b(?:\(?\d{3}\)?[-. ])?\d{3}-\d{4}\b", lambda m: ", ".join(map(numbers.digit_words, _groups(m[0]))), 0),
        (r"(?<=\d)\s?[–−]\s?(?=[\d$£€])", lambda m: " to ", 0),
        (rf"(?<![\w.,-])({_NUMBER})-(?={_NUMBER}(?![\w-]|[.,]\d))", lambda m: f"{m[1]} to ", 0),
        (rf"([$£€¥])\s?({_NUMBER})(?:\s({_SCALE})\b)?", _money, 0),
        (r"(?<=\d)\s(?=\d⁄\d)", lambda m: " and ", 0),
        (r"(?<![\w/.,])(\d{1,3})[/⁄](\d{1,3})(?![\w/])", _fraction, 0),
        (r"(?<![\w.,])[-−](?=\d)", lambda m: "minus ", 0),
        (rf"(?<![\w.])({_NUMBER})\s?({units})(?!\w)", _unit, 0),
        (r"\b(\d{1,3}(?:,\d{3})+|\d{1,15})(?:st|nd|rd|th)\b", lambda m: ordinal_words(int(m[1].replace(",", ""))), 0),
        (r"(?<!\d)\d+(?:\.\d+){2,}", lambda m: " point ".join(map(written_number, m[0].split("."))), 0),
        (r"[²³]", lambda m: " squared" if m[0] == "²" else " cubed", 0),
        (rf"(?<![\w.,#])({_YEAR})(?![\w,.]*\d)(?!\w)", lambda m: year_words(int(m[1])), 0),
        (r"\b([A-Z])\.(\d+)", lambda m: f"{m[1]} {numbers.digit_words(m[2])}", 0),
        (r"(?<=[^\W\d_])\d+|(?<!\d)\d++(?=[^\W\d_])", lambda m: f" {numbers.digit_words(m[0])} ", 0),
        (rf"\b({_names(_COUNTED)})\.\s?(?=\d)", lambda m: f"{_COUNTED[m[1].lower()]} ", ignore),
        (_NUMBER, lambda m: written_number(m[0]), 0),
        # Words.
        (r"\b([A-Z][a-z]+) ([IVXLC]+)\b(?!['’])", _roman, 0),
        (r"\bSt\.", _saint, 0),
        (r"\bDr\.", _doctor, 0),
        (rf"\b({_names(_TITLES)})\.(?!\w)", lambda m: _TITLES[m[1]], 0),
        (rf"\b({_names(_ABBREVIATIONS)})\.(?!\w)", lambda m: _stopped(_ABBREVIATIONS[m[1]], m), 0),
        (rf"(?<=\s)[{re.escape(''.join(_SIGNS))}](?=\s)", lambda m: _SIGNS[m[0]], 0),
    ]
    return tuple((re.compile(pattern, flags), action) for pattern, action, flags in table)


def _groups(telephone: str) -> list[str]:
    return re.findall(r"\d+", telephone)


_RULES = _rules()

#: Finds any of the abbreviations above.
ABBREVIATED = re.compile(
    rf"\b(?:(?:St|Dr|{_names(_TITLES)}|{_names(_ABBREVIATIONS)}|{_names(_SHORT_MONTHS)})\.|(?i:{_names(_COUNTED)})\.\s?\d)"
)


def spell_out(text: str) -> str:
    """Write an English text as it is said; what no rule knows stays."""
    said = text
    for pattern, action in _RULES:
        said = pattern.sub(action, said)
    if said == text:
        return text
    return re.sub(r"\s+([,.;:?!])", r"\1", " ".join(said.split()))
