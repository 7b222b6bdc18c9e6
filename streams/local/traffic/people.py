"""The people of a shop: who is known, by what, and how their traits are written."""

from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

Habit = Literal["anonymous", "known", "becomes_known"]
_GOLDEN = 0.6180339887498949
_FIRST = ("Ada", "Bram", "Chen", "Dalia", "Emil", "Fatou", "Goran", "Hana", "Ilse", "Jonas")
_LAST = ("Gibbons", "de Vries", "O'Neill", "Nguyen", "Müller", "Okafor", "Silva", "Novák")
_COUNTRIES = (("US", "United States", "USA"), ("NL", "Netherlands", "NLD"), ("DE", "Germany", "DEU"))
_NATIONAL = {"US": "(415) 555-{0:04d}", "NL": "06 1234 {0:04d}", "DE": "0151 2345 {0:04d}"}
_E164 = {"US": "+1415555{0:04d}", "NL": "+3161234{0:04d}", "DE": "+491512345{0:04d}"}


@dataclass(slots=True)
class Person:
    """One person. `email`, `phone` and ids are as they write them, not as they should be."""

    index: int
    habit: Habit
    user_id: str | int
    anonymous_ids: tuple[str, ...]
    email: str | None
    phone: str | None
    traits: dict[str, Any]
    labels: tuple[str, ...]
    new_email: str | None = None
    """What the address changes to."""
    known: bool = False
    identified: int = field(default=0)


def make(seed: int, index: int) -> Person:
    """Make the person of an index; the same for the same seed."""
    dice = Random(f"{seed}/{index}")
    labels: list[str] = []
    country = dice.choice(_COUNTRIES)
    email, phone = _contacts(dice, seed, index, country[0], labels)
    person = Person(
        index=index,
        habit=_habit(index),
        user_id=_user_id(dice, seed, index, email, labels),
        anonymous_ids=_devices(dice, labels),
        email=email,
        phone=phone,
        traits=_traits(dice, country, email, phone),
        labels=(),
    )
    if email and dice.random() < 0.01:
        labels.append("email_change")
        person.new_email = f"new.{email.strip().lower()}"
    person.labels = tuple(labels)
    person.known = person.habit == "known"
    return person


def _habit(index: int) -> Habit:
    """Spread habits evenly over ranks, so that the busiest few don't tip the shares."""
    place = (index + 1) * _GOLDEN % 1.0
    return "anonymous" if place < 0.70 else "known" if place < 0.92 else "becomes_known"


def _contacts(
    dice: Random, seed: int, index: int, country: str, labels: list[str]
) -> tuple[str | None, str | None]:
    drawn = dice.random()  # 64 % e-mail only, 33 % both, 2 % phone only, 1 % neither
    email = f"person{index}.{seed}@example{index % 7}.com" if drawn < 0.97 else None
    phone = _phone(dice, index, country, labels) if 0.64 <= drawn < 0.99 else None
    if email and index and dice.random() < 0.02:
        labels.append("shared_email")
        email = f"person{index - 1}.{seed}@example{(index - 1) % 7}.com"
    elif email and dice.random() < 0.02:
        kind, spoiled = _spoiled(dice, email)
        labels.append(f"invalid_email:{kind}")
        email = spoiled
    return email, phone


def _spoiled(dice: Random, email: str) -> tuple[str, str]:
    local, _, domain = email.partition("@")
    forms = {
        "spaces": f" {email} ", "upper": email.upper(),
        "double_dot": f"{local}..x@{domain}", "no_tld": f"{local}@localhost",
        "idn": f"{local}@bücher.example", "apostrophe": f"o'{local}@{domain}",
    }  # fmt: skip
    return dice.choice(list(forms.items()))


def _phone(dice: Random, index: int, country: str, labels: list[str]) -> str:
    line, drawn = index % 10_000, dice.random()
    plain = _E164[country].format(line)
    if drawn < 0.55:
        return plain
    if drawn < 0.80:
        labels.append("phone:national")
        return _NATIONAL[country].format(line)
    if drawn < 0.92:
        labels.append("phone:spaced")
        return f"{plain[:4]} ({plain[4:7]}) {plain[7:]}"
    if drawn < 0.95:
        labels.append("phone:00")
        return "00" + plain[1:]
    labels.append("phone:junk")
    return dice.choice(("n/a", "1234567", "call me"))


def _user_id(dice: Random, seed: int, index: int, email: str | None, labels: list[str]) -> str | int:
    drawn = dice.random()
    if drawn < 0.01 and email:
        labels.append("user_id:email")
        return email.strip()
    if drawn < 0.015:
        labels.append("user_id:numeric")
        return 1_000_000 + index
    if drawn > 0.9999:
        labels.append("user_id:long")
        return f"u{seed}-{index}-" + "x" * 300
    return f"u{seed}-{index}"


def _devices(dice: Random, labels: list[str]) -> tuple[str, ...]:
    two = dice.random() < 0.03
    if two:
        labels.append("two_devices")
    return tuple(_uuid(dice) for _ in range(1 + two))


def _uuid(dice: Random) -> str:
    digits = f"{dice.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _traits(
    dice: Random, country: tuple[str, str, str], email: str | None, phone: str | None
) -> dict[str, Any]:
    camel = dice.random() < 0.75
    code = "postalCode" if dice.random() < 0.80 else dice.choice(("postal_code", "zip"))
    written = dice.choices((*country[:2], country[2], ""), weights=(60, 30, 5, 5))[0]
    traits: dict[str, Any] = {
        "firstName" if camel else "first_name": dice.choice(_FIRST),
        "lastName" if camel else "last_name": dice.choice(_LAST),
        "createdAt" if camel else "created_at": "2025-11-02T10:00:00Z",
        "address": {"city": "San Francisco", code: "94103", "country": written},
        "plan": dice.choice(("free", "premium")),
        "logins": int(dice.random() * 50),
    }
    return traits | {name: value for name, value in (("email", email), ("phone", phone)) if value}
