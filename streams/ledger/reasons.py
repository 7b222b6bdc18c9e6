"""The closed list of outcomes and reasons that metrics, dead letters, outcomes, tests and pages share."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a record or of one delivery of it."""

    ROUTED = "routed"
    DELIVERED = "delivered"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    FILTERED = "filtered"
    HELD = "held"
    EXPIRED = "expired"
    REFUSED = "refused"
    DEAD_LETTERED = "dead_lettered"


class Reason(StrEnum):
    """Why. A colon and a detail may follow, as in ``same_as:rule 3``."""

    # gateway
    INVALID_JSON = "invalid_json"
    INVALID_MESSAGE = "invalid_message"
    TOO_LARGE = "too_large"
    CONTRACT = "contract"
    # dedupe
    SEEN_BEFORE = "seen_before"
    # any stage
    UNREADABLE = "unreadable"
    REDRIVEN = "redriven"
    """Its dead letter went back into the line as a record of its own."""
    # identify
    ANONYMOUS = "anonymous"
    HOLD_EXPIRED = "hold_expired"
    HOLD_FULL = "hold_full"
    NOT_WANTED = "not_wanted"
    NO_IDENTIFIER = "no_identifier"
    ERASED = "erased"
    # route
    NO_RULE = "no_rule"
    INTEGRATIONS = "integrations"
    SAME_AS = "same_as"
    MAPPING = "mapping"
    LOOP = "loop"
    NOT_FORWARDED = "not_forwarded"
    # deliver, feedback
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    SENT_BEFORE = "sent_before"
    SAME_VALUES = "same_values"
    SUPERSEDED = "superseded"
    NOT_MEMBER = "not_member"
    ONCE = "once"
    """An earlier operation holds the mark that says: only once."""
    SAME_PROFILE = "same_profile"
    """Klaviyo has both sides of a merge as one profile, or at most one of them."""
    NO_PROFILE = "no_profile"
    """Klaviyo has nobody to erase."""
    OBSERVED = "observed"
    FIELD_IGNORED = "field_ignored"
    REJECTED = "rejected"
    KEEPS_FAILING = "keeps_failing"
    PROFILE_CONFLICT = "profile_conflict"
    CONSENT = "consent"
    RETENTION = "retention"
    UNSUPPORTED = "unsupported"
