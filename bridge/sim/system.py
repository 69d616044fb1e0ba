"""A simulated system: a master and other locations, all with all users (docs/wire.md#several-pbxs)."""

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from bridge.sim.auth import Account
from bridge.sim.model import SimUser
from bridge.sim.pbx import SimOptions, SimPbx


class SimSystem:
    """Several PBXs. `loc` of a user is the location where it is registered, empty for the master.

    A PBX names the location of the users of others; `empty_is_master`: it names that of its own users, and
    leaves out the master's (docs/wire.md#open-questions). Calls happen at the PBX of their user only.
    """

    def __init__(
        self,
        users: Iterable[SimUser],
        options: SimOptions | None = None,
        *,
        master: str = "head",
        empty_is_master: bool = False,
    ) -> None:
        self._options = options or SimOptions()
        self._users = {user.cn: user for user in users}
        self._master = master
        self._empty_is_master = empty_is_master
        self._stacks: dict[str, AsyncExitStack] = {}
        self.pbxs: dict[str, SimPbx] = {}

    async def __aenter__(self) -> Self:
        await self.open(self._master)
        for location in sorted({user.loc for user in self._users.values() if user.loc}):
            await self.open(location)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for location in list(self.pbxs):
            await self.close(location)

    @property
    def master(self) -> SimPbx:
        """The master."""
        return self.pbxs[self._master]

    def home(self, cn: str) -> SimPbx:
        """The PBX where a user is registered."""
        return self.pbxs[self._users[cn].loc or self._master]

    async def open(self, location: str, account: Account | None = None) -> SimPbx:
        """Start the PBX of a location, with an account of its own or that of all."""
        profile = replace(self._options.profile, location=location)
        options = replace(self._options, profile=profile, account=account or self._options.account)
        users = [self._seen_at(location, user) for user in self._users.values()]
        stack = AsyncExitStack()
        self.pbxs[location] = await stack.enter_async_context(SimPbx(users, options))
        self._stacks[location] = stack
        for pbx in self.pbxs.values():
            pbx.addresses |= {name: other.soap_url for name, other in self.pbxs.items()}
        return self.pbxs[location]

    async def close(self, location: str) -> None:
        """Take the PBX of a location away; the others know its address no more."""
        await self._stacks.pop(location).aclose()
        del self.pbxs[location]
        for pbx in self.pbxs.values():
            pbx.addresses.pop(location, None)

    def put(self, user: SimUser) -> None:
        """Add a user, or change one, such as its location: everywhere, as replication does."""
        known = user.cn in self._users
        self._users[user.cn] = user
        for location, pbx in self.pbxs.items():
            seen = self._seen_at(location, user)
            pbx.exchange.put_user(seen, instead_of=user.cn if known else None, cfg=True)

    def move(self, cn: str, location: str) -> None:
        """Register a user at another location."""
        self.put(replace(self._users[cn], loc=location))

    def remove(self, cn: str) -> None:
        """Delete a user everywhere."""
        del self._users[cn]
        for pbx in self.pbxs.values():
            pbx.remove_user(cn)

    def _seen_at(self, location: str, user: SimUser) -> SimUser:
        home = user.loc or self._master
        if self._empty_is_master:
            return replace(user, registered=home == location)
        return replace(user, loc="" if home == location else home, registered=home == location)
