"""The sections of ``pipeline.yaml`` that are settings; every default is safe in production."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from streams.config.secret import Secret
from streams.config.texts import JsonPath, Names

STRICT = ConfigDict(
    frozen=True,
    extra="forbid",
    populate_by_name=True,
    hide_input_in_errors=True,
    use_attribute_docstrings=True,
)


Url = Annotated[
    str,
    Field(pattern=r"^https?://[^\s/]+", examples=["https://host:port"]),
    AfterValidator(lambda url: url.rstrip("/")),
]
"""A base address; paths are put behind it."""


def _from_home(path: Path) -> Path:
    """The path with ``~`` as a shell has it; nobody means a folder of that name."""
    try:
        return path.expanduser()
    except RuntimeError:
        said = {"user": path.parts[0], "write": "a path that begins with /"}
        raise PydanticCustomError("home", "{user} is nobody's home here", said) from None


Place = Annotated[Path, AfterValidator(_from_home)]
"""A file or folder."""


class Section(BaseModel):
    """A frozen part of the file; unknown keys are errors."""

    model_config = STRICT


class Security(Section):
    """How to reach a broker that asks for more than an address."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: Secret | None = None
    ca: Place | None = None
    """Certificate authority, PEM."""
    certificate: Place | None = None
    key: Place | None = None


class Kafka(Section):
    """The brokers."""

    bootstrap: Annotated[str, Field(min_length=1)] = "localhost:9092"
    security: Security = Security()

    def client(self) -> dict[str, str | int]:
        """librdkafka's properties for reaching the brokers."""
        given: Mapping[str, object] = {
            "sasl.mechanism": self.security.mechanism,
            "sasl.username": self.security.username,
            "sasl.password": self.security.password and self.security.password.get_secret_value(),
            "ssl.ca.location": self.security.ca,
            "ssl.certificate.location": self.security.certificate,
            "ssl.key.location": self.security.key,
        }
        properties: dict[str, str | int] = {"bootstrap.servers": self.bootstrap}
        if self.security.protocol != "PLAINTEXT":
            properties["security.protocol"] = self.security.protocol
        return properties | {name: str(value) for name, value in given.items() if value is not None}


class Registry(Section):
    """The schema registry, Confluent's API."""

    url: Url = "http://localhost:8081"
    user: str | None = None
    password: Secret | None = None


class Dedupe(Section):
    """How long a message is remembered."""

    window_days: Annotated[float, Field(gt=0, le=60)] = 7


class Identity(Section):
    """Who is the same person, and what happens to people nobody knows yet."""

    anonymous: Literal["hold", "send", "drop"] = "hold"
    hold_hours: Annotated[float, Field(gt=0, le=720)] = 72
    hold_each: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Events held for one anonymous id; the next ones are filtered."""
    late_hours: Annotated[float, Field(ge=0)] = 24
    """Held for longer = recorded without starting flows."""
    merge_on_phone: bool = False
    """People who give one number are one person; else it is the first one's, as Klaviyo has it once."""
    blocked: Names = ()
    """Identifiers that stand for nobody, besides the built-in ones."""
    shared_device_people: Annotated[int, Field(ge=1)] = 5
    max_user_ids: Annotated[int, Field(ge=1, le=100)] = 5
    default_country: Annotated[str, Field(pattern="^[A-Z]{2}$", examples=["NL"])] | None = Field(
        default=None, examples=["NL"]
    )
    """ISO 3166 alpha-2, for national phone numbers of people without a country."""


class Engagement(Section):
    """What goes back to Segment."""

    forward: Names = (
        "event:klaviyo.opened_email",
        "event:klaviyo.clicked_email",
        "event:klaviyo.bounced_email",
        "event:klaviyo.marked_email_as_spam",
        "event:klaviyo.unsubscribed",
        "event:klaviyo.unsubscribed_from_email_marketing",
        "event:klaviyo.unsubscribed_from_list",
        "event:klaviyo.email_delivered",
        "event:klaviyo.received_email",
    )
    """Klaviyo's webhook topics, ``*`` allowed."""
    properties: dict[str, JsonPath] = Field(default_factory=dict)
    """Further properties of the Segment call: name → JSONPath in Klaviyo's event resource."""


class Gateway(Section):
    """Where events come in."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    admin_port: Annotated[int, Field(ge=0, le=65535)] = 9090
    max_event_bytes: Annotated[int, Field(ge=1024, le=1_800_000)] = 32_768
    """At most what a record of the line holds, with who it is for."""
    max_batch_bytes: Annotated[int, Field(ge=1024)] = 512_000
    max_in_flight_bytes: Annotated[int, Field(ge=1024)] = 64 * 1024 * 1024
    """Accepted by the socket and not yet by the broker; above it, 503."""
    header_timeout_s: Annotated[float, Field(gt=0)] = 10
    body_timeout_s: Annotated[float, Field(gt=0)] = 30
    idle_timeout_s: Annotated[float, Field(gt=0)] = 75
    webhook_tolerance_s: Annotated[float, Field(gt=0)] = 49 * 3600
    """How old a signed Klaviyo webhook may be.

    Klaviyo tries for 48 h and does not say that it signs anew; an event that comes again is a duplicate.
    """


class Lists(Section):
    """How lists at Klaviyo are treated."""

    create: bool = False
    """Make a list that ``list_add`` or ``subscribe`` names and Klaviyo does not have, with the account's own
    opt-in process; whoever is to leave one that is not there has nothing to leave. Else all are dead letters.
    """
    guard_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    """Above this share of a list, and 100 profiles, taken off it within an hour the lane pauses and asks."""
    guard_unsubscribes: Annotated[int, Field(ge=0)] = 1000
    """So many subscribed people of an account may be unsubscribed or suppressed without a list within an
    hour; then the consent lane pauses and asks. 0 = any number.
    """


class Deliver(Section):
    """How calls to Klaviyo and Segment are made."""

    attempts: Annotated[int, Field(ge=1)] = 8
    """Tries before a single row that alone fails is a dead letter."""
    timeout_s: Annotated[float, Field(gt=0)] = 10
    bulk_timeout_s: Annotated[float, Field(gt=0)] = 30
    backfill_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Share of the budget that backfill gets however busy live is."""
    probe_s: Annotated[float, Field(gt=0)] = 30
    """How often a stopped lane tries one row."""
    readback_minutes: Annotated[float, Field(gt=0)] = 10
    """How long after a 202 events are looked for at Klaviyo; at most three times, so long apart."""
    readback_pages: Annotated[int, Field(ge=1)] = 20
    """Pages of 1,000 events read for each 1,000 looked for; what lies beyond stays accepted."""
    confirm_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the events that is looked for after a 202, and sent once more if Klaviyo lost it; 0 = none."""
