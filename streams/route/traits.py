"""Template ``segment.traits``: Segment's traits as Klaviyo's profile attributes.

Source: Segment's spec "identify" (reserved traits; camel case and snake case are both allowed) and
Klaviyo's profile resource. Identifiers are left to identity. What has no attribute of its own is a
property under the name it came with.
"""

import re
from collections.abc import Mapping
from typing import Any

from streams.config.paths import MISSING
from streams.route.formats import text
from streams.segment.envelope import Profile
from streams.segment.identifiers import normal_email
from streams.segment.message import part, traits_of

_SPELLINGS = {
    "first_name": "firstName first_name firstname",
    "last_name": "lastName last_name lastname",
    "title": "title jobTitle job_title",
    "image": "avatar image",
    "organization": "organization organisation company companyName company_name",
    "locale": "locale",
    "location.address1": "street address1 addressLine1 address_line_1",
    "location.address2": "address2 addressLine2 address_line_2",
    "location.city": "city",
    "location.region": "state region province",
    "location.zip": "postalCode postal_code postalcode zip zipCode zip_code zipcode postcode",
    "location.country": "country",
    "location.latitude": "latitude lat",
    "location.longitude": "longitude lng lon",
    "location.timezone": "timezone timeZone time_zone",
    "location.ip": "ip ipAddress ip_address",
    "email": "email emailAddress email_address",
    "phone": "phone phoneNumber phone_number",
    "address": "address",
    "name": "name",
    "id": "id userId user_id",
}
_TARGETS = {spelling: target for target, several in _SPELLINGS.items() for spelling in several.split()}
_IN_ADDRESS = {
    **{spelling: target for spelling, target in _TARGETS.items() if target.startswith("location.")},
    **dict.fromkeys(("street1", "line1", "addressLine1"), "location.address1"),
    **dict.fromkeys(("street2", "line2"), "location.address2"),
}
_COORDINATES = ("location.latitude", "location.longitude")
_NUMERIC = frozenset((int, float))
_IN_LOCATION = {target: target[9:] for target in _SPELLINGS if target.startswith("location.")}
_OF_ADDRESS = tuple(name for target, name in _IN_LOCATION.items() if name not in ("ip", "timezone"))
_PHONE_END = 6
"""Digits by which a number is known again; no number is shorter."""
_NO_DIGIT = re.compile(r"[^0-9]+")
_IP = re.compile(r"(\d{1,3}\.){3}\d{1,3}\Z|[0-9a-fA-F:]*:[0-9a-fA-F:.]+\Z")
_TIMEZONE = re.compile(r"[A-Za-z]+(/[A-Za-z0-9_+\-]+)*\Z")
_LOCALE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*\Z")
_CHECKED = {"location.ip": _IP, "location.timezone": _TIMEZONE, "locale": _LOCALE}


class Attributes:
    """Klaviyo's attributes as they are found; ``set`` keeps the first value of each."""

    __slots__ = ("location", "properties", "top")

    def __init__(self) -> None:
        self.top: dict[str, Any] = {}
        self.location: dict[str, Any] = {}
        self.properties: dict[str, Any] = {}

    def set(self, target: str, value: Any) -> bool:
        """Whether the attribute could take the value; null is a value and clears."""
        if type(value) is not str and value is not None:
            if target not in _COORDINATES or type(value) not in _NUMERIC:
                value = text(value)
            if value is MISSING:
                return False
        if value is not None and (check := _CHECKED.get(target)):
            if not check.match(value):
                return False
            if target == "locale":
                value = value.replace("_", "-")
        group, name = self.top, _IN_LOCATION.get(target)
        if name is not None:
            group, target = self.location, name
        if target in group:
            return bool(group[target] == value)
        group[target] = value
        return True

    def take(self, target: str) -> Any:
        """The attribute of that name, which is one no more; ``MISSING`` where there is none."""
        if target == "address":
            for part_of in _OF_ADDRESS:
                self.location.pop(part_of, None)
        name = _IN_LOCATION.get(target)
        return self.top.pop(target, MISSING) if name is None else self.location.pop(name, MISSING)

    def result(self) -> dict[str, Any]:
        """The profile's attributes as the API takes them, without identifiers."""
        found = dict(self.top)
        if self.location:
            found["location"] = self.location
        if self.properties:
            found["properties"] = self.properties
        return found


def attribute_of(trait: str) -> str:
    """The attribute that a trait becomes, such as ``first_name`` or ``location.city``; else its own name."""
    return _TARGETS.get(trait.removeprefix("$"), trait)


def map_traits(message: Mapping[str, Any], profile: Profile, unmapped: list[str]) -> Attributes:
    """The attributes that a message's traits and context give; never raises.

    A group's traits are the group's, not the person's: they are kept together in the property ``group``.
    """
    found = Attributes()
    if message.get("type") == "group":
        _group(found, message)
    else:
        for name, value in traits_of(message).items():
            target = _TARGETS.get(name)
            if target is None:
                found.properties[name] = value
            elif target in _SPECIAL:
                _SPECIAL[target](found, name, value, profile, unmapped)
            elif not found.set(target, value):
                found.properties[name] = value
        if "name" in found.properties:
            _split_name(found)
    context = part(message, "context")
    for target, name in (("location.ip", "ip"), ("location.timezone", "timezone"), ("locale", "locale")):
        value = context.get(name)
        holder = found.location if target != "locale" else found.top
        if value is not None and name not in holder and not found.set(target, value):
            unmapped.append(f"context.{name}")
    return found


def is_identifier(found: Attributes, name: str, value: Any, profile: Profile, unmapped: list[str]) -> bool:
    """Whether the trait is an identifier, which is identity's; one that is not the person's is unmapped."""
    target = _TARGETS.get(name)
    if target not in ("email", "phone", "id"):
        return False
    _SPECIAL[target](found, name, value, profile, unmapped)
    return True


def _group(found: Attributes, message: Mapping[str, Any]) -> None:
    traits = part(message, "traits")
    if isinstance(traits.get("name"), str):
        found.set("organization", traits["name"])
    found.properties["group"] = {"id": message.get("groupId"), **traits}


def _split_name(found: Attributes) -> None:
    """A full name gives first and last name where there are none, as Segment's own libraries do."""
    name = found.properties["name"]
    if isinstance(name, str) and not found.top.keys() & {"first_name", "last_name"}:
        first, _, last = name.strip().partition(" ")
        if first:
            found.set("first_name", first)
        if last.strip():
            found.set("last_name", last.strip())


def _address(found: Attributes, name: str, value: Any, _: Profile, __: list[str]) -> None:
    if not isinstance(value, dict):
        if not found.set("location.address1", value):
            found.properties[name] = value
        return
    rest = {}
    for key, inner in value.items():
        target = _IN_ADDRESS.get(key)
        if target is None or not found.set(target, inner):
            rest[key] = inner
    if rest:
        found.properties[name] = rest


def _organization(found: Attributes, name: str, value: Any, _: Profile, __: list[str]) -> None:
    if not isinstance(value, dict):
        if not found.set("organization", value):
            found.properties[name] = value
        return
    rest = {key: inner for key, inner in value.items() if key != "name"}
    if "name" in value and not found.set("organization", value["name"]):
        rest["name"] = value["name"]
    if rest:
        found.properties[name] = rest


def _email(_: Attributes, name: str, value: Any, profile: Profile, unmapped: list[str]) -> None:
    if value is not None and (not isinstance(value, str) or normal_email(value) != profile["email"]):
        unmapped.append(f"traits.{name}")


def _phone(_: Attributes, name: str, value: Any, profile: Profile, unmapped: list[str]) -> None:
    # However the number was written, the end of it is the end of E.164.
    end = _NO_DIGIT.sub("", str(value))[-_PHONE_END:]
    if value is not None and (len(end) < _PHONE_END or not (profile["phone"] or "").endswith(end)):
        unmapped.append(f"traits.{name}")


def _id(found: Attributes, name: str, value: Any, profile: Profile, _: list[str]) -> None:
    if str(value) != profile["user_id"]:
        found.properties[name] = value


def _name(found: Attributes, name: str, value: Any, _: Profile, __: list[str]) -> None:
    found.properties[name] = value


_SPECIAL = {
    "address": _address,
    "organization": _organization,
    "email": _email,
    "phone": _phone,
    "id": _id,
    "name": _name,
}
