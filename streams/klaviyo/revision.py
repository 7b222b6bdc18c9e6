"""Which version of the API is spoken. Bodies are valid at 2026-10-15, too: event calls carry no ``meta``."""

from typing import Final

from streams.config import model

REVISION: Final = model.REVISION
MEDIA_TYPE: Final = "application/vnd.api+json"
