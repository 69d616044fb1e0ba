"""An HTTP client that is not ours, to test the simulator with: requests, in threads."""

import asyncio
from typing import Self

import requests
from requests.auth import AuthBase


class HttpClient:
    """One kept-alive connection, inside `async with`; one request at a time."""

    def __init__(self, auth: AuthBase | None = None) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = auth

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._session.close()

    async def get(self, url: str) -> requests.Response:
        """Fetch a page."""
        return await asyncio.to_thread(self._session.get, url, timeout=10)

    async def post(self, url: str, content: str) -> requests.Response:
        """Send a body."""
        return await asyncio.to_thread(self._session.post, url, content.encode(), timeout=10)
