"""`{day}` in an address: YYYY-MM-DD, or in a form of its own as in `{day:%Y%m%d}` or `{day:%Y/%m/%d}`."""

from __future__ import annotations

import re
from datetime import date, datetime

PLACE = re.compile(r"\{day(?::([^{}]*))?\}")
ISO = "%Y-%m-%d"
DIGITS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%j": 3}
"""What a form may say of a day, and how many digits that has."""
SIGN = re.compile("%.?")


def has_day(address: str) -> bool:
    """Whether the address says the day."""
    return PLACE.search(address) is not None


def with_day(address: str, day: date) -> str:
    """The address of one day."""
    return PLACE.sub(lambda found: day.strftime(found[1] or ISO), address)


def any_day(address: str) -> str:
    """The address as a glob that matches every day, and names in its place that are none."""
    return PLACE.sub(lambda found: re.sub("[^/]+", "*", found[1] or ISO), address)


def check_days(address: str) -> None:
    """Refuse a form that does not say one day.

    Raises:
        ValueError: naming the form.
    """
    if re.search(r"\{day[^}:]", address):
        raise ValueError("address: write `{day}`, or a form as in `{day:%Y%m%d}`")
    forms = [form or ISO for form in PLACE.findall(address)]
    signs = {sign for form in forms for sign in SIGN.findall(form)}
    said = bool(signs & {"%Y", "%y"}) and ({"%m", "%d"} <= signs or "%j" in signs)
    if unknown := signs - set(DIGITS):
        raise ValueError(f"address: {{day:...}} knows {', '.join(DIGITS)}, not {', '.join(sorted(unknown))}")
    if forms and not said:
        raise ValueError(f"address: {' and '.join(forms)} does not say a day: year, month and day are wanted")


def day_named(name: str, before: str, address: str, after: str) -> date | None:
    """The day in a name that matches the regular expressions around the `{day}` of the address; none otherwise."""
    found = PLACE.search(address)
    form = (found[1] if found else None) or ISO
    digits = SIGN.sub(lambda sign: f"@{DIGITS[sign[0]]}@", form)
    expression = re.sub("@([0-9])@", r"\\d{\1}", re.escape(digits))
    named = re.fullmatch(f"/?{before}(?P<day>{expression}){after}", name)
    try:
        return None if named is None else datetime.strptime(named["day"], form).date()  # a day
    except ValueError:
        return None
