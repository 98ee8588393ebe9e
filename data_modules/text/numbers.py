"""Numbers as an American speaker says them; num2words knows the numerals, this knows when to use which."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
#: Numbers with more digits are read digit by digit: no numeral has a familiar name beyond trillions.
MOST_DIGITS = 15
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September", "October"),
    *("November", "December"),
)
#: Denominators that are read as parts; 9/11 and 24/7 are not.
_PARTS = {2: "half", 4: "quarter"}
_DENOMINATORS = frozenset((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20, 32, 64, 100))
_ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
#: The only spelling of a number, so that MILD is none.
_WELL_FORMED = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")


@lru_cache(maxsize=4096)
def number_words(number: int) -> str:
    """Spell a number: 8500 is ``eight thousand five hundred``, 42 ``forty-two``, -1 ``minus one``."""
    if number < 0:
        return f"minus {number_words(-number)}"
    if number >= 10**MOST_DIGITS:
        return digit_words(str(number))
    from num2words import num2words

    # British "and", and commas between thousands, are not said.
    return str(num2words(number)).replace(",", "").replace(" and ", " ")


@lru_cache(maxsize=4096)
def ordinal_words(number: int) -> str:
    """``twenty-first`` for 21."""
    if number >= 10**MOST_DIGITS:
        return f"{number_words(number)}th"
    from num2words import num2words

    return str(num2words(number, to="ordinal")).replace(",", "").replace(" and ", " ")


def year_words(year: int) -> str:
    """``nineteen ninety-nine``, ``nineteen oh five``, ``two thousand one`` for years from 1000 to 2999."""
    from num2words import num2words

    if not 1000 <= year < 3000 or year % 1000 == 0:
        return number_words(year)
    return str(num2words(year, to="year")).replace(" and ", " ").replace("oh-", "oh ")


def decade_words(year: int) -> str:
    """``nineteen nineties`` for 1990, ``nineties`` for 90."""
    words = year_words(year)
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def digit_words(digits: str) -> str:
    """Digits one by one; any script's digits, others are left out."""
    values = (unicodedata.decimal(digit, None) for digit in digits)
    return " ".join(_DIGITS[value] for value in values if value is not None)


def written_number(digits: str) -> str:
    """A number as it stands in a text: commas between thousands, a decimal point, leading zeros.

    ``1,000.50`` is ``one thousand point five zero``; ``007`` and long numbers without commas are read digit by digit.
    """
    whole, point, decimals = digits.partition(".")
    plain = whole.replace(",", "")
    if "," not in whole and (len(plain) > 6 or (plain.startswith("0") and len(plain) > 1)):
        words = digit_words(plain)
    else:
        words = number_words(int(plain)) if plain else "zero"
    return f"{words} point {digit_words(decimals)}" if point and decimals else words


def fraction_words(above: int, below: int) -> str | None:
    """``three quarters``; none where it is no fraction that is said so."""
    if not 0 < above < below or below not in _DENOMINATORS:
        return None
    part = _PARTS.get(below) or ordinal_words(below)
    if above > 1:
        part = "halves" if below == 2 else part + "s"
    return f"{number_words(above)} {part}"


def money_words(amount: str, one: str, many: str, cent: str, cents: str) -> str:
    """``three dollars fifty cents`` for 3.50; other than two decimals are read as a decimal number."""
    whole, _, decimals = amount.partition(".")
    count = int(whole.replace(",", "") or "0")
    if decimals and len(decimals) != 2:
        return f"{written_number(amount)} {many}"
    parts = [f"{written_number(whole)} {one if count == 1 else many}"] if count or not int(decimals or "0") else []
    if decimals and int(decimals):
        parts.append(f"{number_words(int(decimals))} {cent if int(decimals) == 1 else cents}")
    return " ".join(parts)


def time_words(hour: int, minute: int, half: str = "") -> str:
    """``five thirty``, ``five oh five``, ``five o'clock``, ``five p.m.``."""
    spoken = [number_words(hour)]
    if minute:
        spoken.append(f"oh {number_words(minute)}" if minute < 10 else number_words(minute))
    elif not half:
        spoken.append("hundred" if hour > 12 else "o'clock")
    return " ".join([*spoken, half]).strip()


def roman_value(letters: str) -> int | None:
    """Value of a Roman numeral in capitals; none where the letters are none."""
    if not letters or not _WELL_FORMED.fullmatch(letters):
        return None
    values = [_ROMAN[letter] for letter in letters]
    following = [*values[1:], 0]
    return sum(-value if value < after else value for value, after in zip(values, following, strict=True))
