"""Configuration → links: the one place that knows every part's settings. Starts nothing."""

import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bridge import clock
from bridge.commander import CommandSettings
from bridge.config import Config, Pbx
from bridge.core.commands import Permissions
from bridge.core.draft import Scope
from bridge.core.journal import Journal
from bridge.core.outbox import Limits
from bridge.core.topics import Topics
from bridge.link import Link, LinkSettings
from bridge.mqtt.door import Door
from bridge.mqtt.settings import BrokerSettings
from bridge.observer import Observer
from bridge.pbx.client import Client, Following
from bridge.pbx.http import Endpoint
from bridge.pbx.session import SessionSettings, session
from bridge.pbx.soap import Soap
from bridge.pbx.tls import TlsSettings, context
from bridge.ports import OpenPbx, PbxSession
from bridge.store import Store


class Builder:
    """Builds links; what is dear to make (WSDL, TLS contexts) is made once and shared."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._soap = Soap()
        self._contexts: dict[TlsSettings, ssl.SSLContext] = {}
        self._broker_tls = _broker_tls(config)

    def link(self, pbx: Pbx, observer: Observer) -> Link:
        """The link of one PBX."""
        return Link(
            self._link_settings(pbx),
            self._open_pbx(pbx),
            Door(self.broker(pbx)),
            observer=observer,
            epoch=clock.new_epoch(secrets.randbits(32)),
            clock=clock.now,
            journal=self._journal(pbx, observer),
        )

    def client(self, pbx: Pbx, attempt: int = 0) -> Client:
        """A client of a PBX; the addresses take turns with the attempts."""
        url = pbx.endpoints[attempt % len(pbx.endpoints)]
        tls = self._tls(pbx) if url.startswith("https") else None
        endpoint = Endpoint(url, pbx.username, pbx.secret or "", pbx.auth, tls)
        return Client(self._soap, endpoint, poll_s=pbx.poll_timeout_s, request_s=pbx.request_timeout_s)

    def broker(self, pbx: Pbx) -> BrokerSettings:
        """The broker as this PBX's MQTT client sees it."""
        mqtt = self._config.mqtt
        host, port = mqtt.address
        return BrokerSettings(
            host=host,
            port=port,
            client_id=f"{mqtt.client_id_prefix}-{pbx.name}",
            transport="tcp" if mqtt.websocket_path is None else "websockets",
            path=mqtt.websocket_path or "",
            tls=self._broker_tls,
            username=mqtt.username,
            password=mqtt.secret,
            keepalive_s=mqtt.keepalive_s,
            protocol=mqtt.protocol,
        )

    def _journal(self, pbx: Pbx, observer: Observer) -> Journal:
        folder = self._config.state_dir
        return Journal() if folder is None else Store(folder / f"{pbx.name}.sqlite3", observer.stored)

    def _open_pbx(self, pbx: Pbx) -> OpenPbx:
        settings = SessionSettings(
            session_user=pbx.session_user,
            following=Following(pbx.transfers, pbx.wait_on_hook, pbx.device),
            follow_per_s=pbx.monitor_per_s,
            settle_s=pbx.settle_s,
        )

        @asynccontextmanager
        async def open_pbx(attempt: int) -> AsyncIterator[PbxSession]:
            async with self.client(pbx, attempt) as client, session(client, settings) as opened:
                yield opened

        return open_pbx

    def _link_settings(self, pbx: Pbx) -> LinkSettings:
        commands, events = self._config.commands, self._config.events
        return LinkSettings(
            topics=Topics(self._config.mqtt.base_topic, pbx.name),
            scope=Scope(
                users=tuple(rule.to_rule() for rule in pbx.users),
                calls=tuple(rule.to_rule() for rule in pbx.calls),
                user_id=self._config.user_id,
            ),
            outbox=Limits(events.max_queued, events.max_age_s),
            commands=CommandSettings(
                permissions=Permissions(
                    frozenset(commands.allow), commands.numbers.allow, commands.numbers.deny
                ),
                per_minute=commands.rate_per_minute,
                calls_per_user=commands.calls_per_user_per_minute,
                clear_cause=commands.clear_cause,
            ),
        )

    def _tls(self, pbx: Pbx) -> ssl.SSLContext:
        ca_file = str(pbx.tls.ca_file) if pbx.tls.ca_file else None
        settings = TlsSettings(pbx.tls.verify, ca_file, pbx.tls.pin)
        if settings not in self._contexts:
            self._contexts[settings] = context(settings)
        return self._contexts[settings]


def _broker_tls(config: Config) -> ssl.SSLContext | None:
    mqtt = config.mqtt
    if not mqtt.encrypted:
        return None
    made = ssl.create_default_context(cafile=str(mqtt.tls.ca_file) if mqtt.tls.ca_file else None)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if not mqtt.tls.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if mqtt.tls.cert_file is not None:
        made.load_cert_chain(mqtt.tls.cert_file, mqtt.tls.key_file)
    return made
