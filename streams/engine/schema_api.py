"""The registry's HTTP API (Confluent's; Apicurio has it under ``/apis/ccompat/v7``). Blocking and small."""

import http.client
import json
from base64 import b64encode
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from streams.engine.errors import Away, Misconfigured

TYPE = "application/vnd.schemaregistry.v1+json"
LEVEL = "FULL_TRANSITIVE"
"""Rolling restarts go both ways, so each version reads and is read by every other one."""


class SchemaApi:
    """Each method is one request; raises Away when the registry is away, Misconfigured when it refuses us."""

    def __init__(self, url: str, auth: tuple[str, str] | None = None, timeout_s: float = 5.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = {"Content-Type": TYPE, "Accept": TYPE + ", application/json"}
        if auth:
            self._headers["Authorization"] = "Basic " + b64encode(":".join(auth).encode()).decode()
        self._opener: OpenerDirector = build_opener(ProxyHandler({}))

    def find(self, subject: str, schema: str) -> int | None:
        """Id of exactly this schema under the subject; None if it is not registered."""
        reply = self._call("POST", f"/subjects/{quote(subject, safe='')}", {"schema": schema})
        return None if reply is None else int(reply["id"])

    def by_id(self, number: int) -> str | None:
        """The schema's text; None if there is no such id."""
        reply = self._call("GET", f"/schemas/ids/{number}")
        return None if reply is None else str(reply["schema"])

    def register(self, subject: str, schema: str) -> int:
        """Register and return the id. Raises Misconfigured when it is not compatible."""
        path = f"/subjects/{quote(subject, safe='')}/versions"
        reply = self._call("POST", path, {"schema": schema})
        if reply is None:
            raise Misconfigured(f"{self._url} is not a registry's address: {path} is not found there")
        return int(reply["id"])

    def compatible(self, subject: str, schema: str) -> bool:
        """Whether the schema could be registered as the subject's next version."""
        path = f"/compatibility/subjects/{quote(subject, safe='')}/versions"
        reply = self._call("POST", path, {"schema": schema})
        return reply is None or bool(reply["is_compatible"])

    def level(self, subject: str) -> str | None:
        """Compatibility set for the subject itself; None if the registry's default applies."""
        reply = self._call("GET", f"/config/{quote(subject, safe='')}")
        return None if reply is None else str(reply["compatibilityLevel"])

    def set_level(self, subject: str, level: str = LEVEL) -> bool:
        """Set it; False if the registry wants the subject to exist first."""
        return self._call("PUT", f"/config/{quote(subject, safe='')}", {"compatibility": level}) is not None

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> Any:
        """The reply's JSON; None for 404."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(self._url + path, data=data, headers=self._headers, method=method)
        try:
            with self._opener.open(request, timeout=self._timeout_s) as reply:
                return json.loads(reply.read() or b"{}")
        except HTTPError as error:
            with error:
                text = error.read(2000).decode(errors="replace")
            if error.code == 404:
                return None
            if error.code in (408, 429) or error.code >= 500:
                raise Away(f"registry {self._url}: {error.code} {text}") from None
            raise Misconfigured(f"registry {self._url}{path}: {error.code} {text}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Away(f"registry {self._url} does not answer: {error}") from error
