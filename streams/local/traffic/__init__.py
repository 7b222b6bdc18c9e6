"""Made traffic: what a shop's sources send Segment, and a sender for it."""

from streams.local.traffic.generate import generate
from streams.local.traffic.message import Message
from streams.local.traffic.packing import Webhook
from streams.local.traffic.send import Counts, send

__all__ = ["Counts", "Message", "Webhook", "generate", "send"]
