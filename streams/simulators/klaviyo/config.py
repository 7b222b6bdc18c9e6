"""What the Klaviyo simulator can be set to."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from streams.simulators.control import SimulatorConfig


class Budget(BaseModel):
    """Requests an account may make of one endpoint, in each burst and each steady window."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    burst: int = Field(ge=0)
    steady: int = Field(ge=0)
    daily: int | None = Field(default=None, ge=0)
    """In each day (UTC); None: any number."""


class Windows(BaseModel):
    """How long the two windows last, in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    burst: float = Field(default=1, gt=0)
    steady: float = Field(default=60, gt=0)


class Webhook(BaseModel):
    """Where an account's engagement goes, and what signs it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    secret: str
    id: str = "01HWEBHOOK"
    topics: tuple[str, ...] = ()
    """What it was registered for; empty = whatever there is."""
    enabled: bool = True


class SimConfig(SimulatorConfig):
    """The switches; what is not established about Klaviyo has one each."""

    scopes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Private key -> all its scopes; a key that is not named has full access."""
    budgets: dict[str, Budget] = Field(default_factory=dict)
    """Over the published figures; a name without its own takes its parent's (`profile/get/one`)."""
    windows_s: Windows = Windows()
    unique_id_mode: Literal["per_request", "global"] = "per_request"
    """Whether a bulk request fails only on its own repeats, or also on ids of earlier requests."""
    job_delay_s: float = Field(default=0, ge=0)
    """How long a job waits before it is applied."""
    read_delay_s: float = Field(default=0, ge=0)
    """How long an accepted event stays invisible to reads."""
    drop_fake_emails: bool = False
    """Answer 202 and store nothing for addresses that Klaviyo deems fake."""
    conflict_status: int = Field(default=409, ge=400, le=499)
    """What profile-import answers when identifiers belong to different profiles."""
    default_opt_in: Literal["single_opt_in", "double_opt_in"] = "single_opt_in"
    sms_regions: tuple[str, ...] = ("+1", "+44", "+61")
    """Calling codes that this account has sending numbers for."""
    revisions: tuple[str, ...] = ("2026-07-15", "2026-10-15")
    webhooks: dict[str, Webhook] = Field(default_factory=dict)
    webhook_attempts: int = Field(default=5, ge=1)
    webhook_retry_s: float = Field(default=0.5, ge=0)
