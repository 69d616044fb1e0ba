"""Builds links from a configuration: the one place that knows the settings of every part. Starts nothing."""

import asyncio
import secrets
import ssl
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Self

from bridge import clock
from bridge.config.schema import Config, Mqtt, Pbx
from bridge.config.tls import Tls
from bridge.core.backend import Backend
from bridge.core.backoff import Spread
from bridge.core.dial_plan import DialPlan
from bridge.core.journal import Journal, Snapshot, hand_over
from bridge.core.liveness import Deadlines
from bridge.core.outbox import Limits
from bridge.core.outputs import OUTPUTS
from bridge.core.outputs.consumer import Consumer
from bridge.core.outputs.output import Output
from bridge.core.presentation import Presentation
from bridge.core.rules import Scope, SizeLimits
from bridge.core.standby import Addresses
from bridge.core.topics import Topics
from bridge.errors import ConfigError
from bridge.link.link import Link, LinkSettings
from bridge.link.performer import CommandSettings
from bridge.link.store import Store
from bridge.mqtt.dialer import Dialer
from bridge.mqtt.settings import BrokerSettings
from bridge.net.executor import DaemonExecutor
from bridge.net.tls import TlsSettings, context
from bridge.ops.certificates import Target
from bridge.ops.observer import Observer
from bridge.ops.phonebook import PhonebookFile
from bridge.pbx.backend import SoapBackend
from bridge.pbx.client import MonitorOptions
from bridge.pbx.endpoint import Endpoint
from bridge.pbx.entrance import Entrances
from bridge.pbx.monitoring import MonitorSettings
from bridge.pbx.session import SessionSettings
from bridge.pbx.soap import Soap

MakeBackend = Callable[[Pbx], Backend]


class Builder:
    """Builds links. What is expensive to make, such as WSDL and TLS contexts, is made once and shared.

    `disk`: the one thread for the files of all links, made with the first file, so that the event loop never
    waits for a disk. `make_backend` registers another kind of backend in place of the built-in ones.
    `phonebook` has to be read before links are built.
    Raises ConfigError for certificates and keys that cannot be used.
    """

    def __init__(
        self,
        config: Config,
        soap: Soap | None = None,
        disk: Executor | None = None,
        make_backend: MakeBackend | None = None,
        phonebook: PhonebookFile | None = None,
    ) -> None:
        written = config.dial_plan.to_plan().written
        self.phonebook = phonebook or PhonebookFile(config.phonebook.file, written)
        self.spread = Spread()
        self._config = config
        self._disk = disk
        self._soap = soap or Soap()
        self._broker_tls = broker_tls(config.mqtt)
        self._contexts = _pbx_contexts(config.pbxs)
        self._commands = _command_settings(config)
        self._make_backend = make_backend
        self._entrances = Entrances(config.starts_per_host)
        self._backends: dict[str, tuple[Pbx, Backend]] = {}
        for pbx in config.pbxs:
            self.backend(pbx)

    @property
    def operations(self) -> Sequence[str]:
        """The requests that the configured PBXs can be sent, for the metrics."""
        return tuple(dict.fromkeys(name for _, each in self._backends.values() for name in each.operations))

    def renewed(self, config: Config) -> Self:
        """A builder for a new configuration. Reads the certificates again. Raises ConfigError.

        The phonebook is shared as long as it is the same, for links that go on with their old builder.
        """
        old = self._config
        same = (config.phonebook, config.dial_plan) == (old.phonebook, old.dial_plan)
        book = self.phonebook if same else None
        made = type(self)(config, self._soap, self._disk, self._make_backend, book)
        made.spread = self.spread
        return made

    def link(self, pbx: Pbx, observer: Observer, journal: Journal) -> Link:
        """The link of one PBX."""
        return Link(
            self._link_settings(pbx),
            self.backend(pbx).sessions(observer.pbx.asked),
            Dialer.all(self.brokers(pbx), self.spread),
            observer=observer,
            clock=clock.now,
            later=clock.later,
            journal=journal,
        )

    def backend(self, pbx: Pbx) -> Backend:
        """The interface by which this PBX is reached; one that was found may have moved since it was made."""
        made_for, backend = self._backends.get(pbx.name, (None, None))
        if backend is None or made_for != pbx:
            backend = (self._make_backend or self._backend)(pbx)
            self._backends[pbx.name] = pbx, backend
        return backend

    def presentation(self, pbx: Pbx) -> Presentation:
        """How the parties of this PBX's calls are shown. The phonebook is the last one that was read."""
        plan, book = (pbx.dial_plan or self._config.dial_plan).to_plan(), self.phonebook.phonebook
        privacy = self._config.privacy.to_privacy()
        steps = (
            (plan.show, plan != DialPlan()),
            (book.show, bool(book.names)),
            (privacy.show, privacy.hides),
        )
        return Presentation(tuple(step for step, needed in steps if needed))

    def certificate_targets(self, pbxs: Sequence[Pbx]) -> list[Target]:
        """The TLS addresses of the broker and of each of these PBXs."""
        broker = tuple(each.place for each in self._config.mqtt.brokers if each.encrypted)
        boxes = (Target(pbx.name, "pbx", tuple(self.backend(pbx).tls_addresses)) for pbx in pbxs)
        return [Target("", "mqtt", broker), *boxes]

    def brokers(self, pbx: Pbx) -> tuple[BrokerSettings, ...]:
        """The broker and its standbys, with the client id of this PBX's link."""
        mqtt, sender = self._config.mqtt, self._config.commands.sender_property
        found = broker_settings(mqtt, f"{mqtt.client_id_prefix}-{pbx.name}", self._broker_tls)
        return tuple(replace(settings, sender_property=sender) for settings in found)

    async def store(self, pbx: Pbx, observer: Observer, memory: Snapshot) -> Store | None:
        """The durable journal of a PBX, or None without a state directory. It takes over `memory`."""
        folder = self._config.state_dir
        if folder is None:
            return None
        loop, path = asyncio.get_running_loop(), folder / f"{pbx.name}.sqlite3"

        def report(problem: str | None) -> None:
            loop.call_soon_threadsafe(observer.stored, problem)

        if self._disk is None:
            self._disk = DaemonExecutor(threads=1, names=0)
        opening = partial(_open_store, path, report, memory, self._disk)
        try:
            return await loop.run_in_executor(self._disk, opening)
        except OSError:  # the system has no thread to spare: better block the loop once than lose the journal
            return opening()

    def _backend(self, pbx: Pbx) -> Backend:
        """Choose the kind of backend: the one place that knows which there are (docs/adding-a-backend.md)."""
        return self._soap_backend(pbx)

    def _soap_backend(self, pbx: Pbx) -> SoapBackend:
        tls = self._contexts[_tls_settings(pbx.tls)]
        account = (pbx.username, pbx.secret or "", pbx.auth, tls)
        settings = SessionSettings(
            session_user=pbx.session_user,
            monitoring=MonitorSettings(
                MonitorOptions(pbx.transfers, pbx.wait_on_hook, pbx.device),
                per_s=pbx.monitor_per_s,
                grace_s=pbx.resync_grace_s,
            ),
        )
        return SoapBackend(
            self._soap,
            [Endpoint(url, *account) for url in pbx.endpoints],
            settings,
            entrances=self._entrances,
            poll_s=pbx.poll_timeout_s,
            request_s=pbx.request_timeout_s,
        )

    def consumers(self, pbx: Pbx) -> tuple[Consumer, ...]:
        """The programs that a link writes for outside of its topics."""
        topics = Topics(self._config.mqtt.base_topic, pbx.name)
        found = (output.consumer(topics) for output in self._outputs(pbx))
        return tuple(consumer for consumer in found if consumer is not None)

    def _outputs(self, pbx: Pbx) -> tuple[Output, ...]:
        """The outputs that the configuration asks for."""
        permissions = self._config.commands.to_permissions()
        return self._config.homeassistant.to_outputs(permissions, forwards=pbx.forwards)

    def _link_settings(self, pbx: Pbx) -> LinkSettings:
        events = self._config.events
        return LinkSettings(
            epoch=clock.new_epoch(secrets.randbits(32)),
            topics=Topics(self._config.mqtt.base_topic, pbx.name),
            scope=Scope(
                users=tuple(rule.to_rule() for rule in pbx.users),
                calls=tuple(rule.to_rule() for rule in pbx.calls),
                user_id=self._config.user_id,
                encode_dots=self._config.mqtt.encode_dots,
                limits=SizeLimits(**pbx.limits.model_dump()),
                forwards=pbx.forwards,
                presentation=self.presentation(pbx),
                home=pbx.home,
            ),
            outbox=Limits(events.max_queued, events.max_age_s, event_bytes=events.max_queued_bytes),
            commands=self._commands,
            end_grace_s=pbx.end_grace_s,
            deadlines=Deadlines(
                poll_s=3 * pbx.poll_timeout_s + 15,
                mqtt_s=max(
                    240.0, 3.0 * self._config.mqtt.keepalive_s, 12 * self._config.mqtt.connect_timeout_s
                ),
                outbox_s=max(120.0, 3.0 * self._config.mqtt.keepalive_s),
            ),
            outputs=(*OUTPUTS, *self._outputs(pbx)),
            pbxs=Addresses(tuple(self.backend(pbx).addresses), pbx.return_after_s),
            brokers=Addresses(
                tuple(broker.place for broker in self.brokers(pbx)), self._config.mqtt.return_after_s
            ),
        )


def _command_settings(config: Config) -> CommandSettings:
    commands = config.commands
    return CommandSettings(
        permissions=commands.to_permissions(),
        per_minute=commands.rate_per_minute,
        calls_per_user=commands.calls_per_user_per_minute,
        clear_cause=commands.clear_cause,
        response_topics=commands.response_topics,
        privacy=config.privacy.to_privacy(),
    )


def broker_settings(mqtt: Mqtt, client_id: str, tls: ssl.SSLContext | None) -> tuple[BrokerSettings, ...]:
    """The broker and its standbys for a client with this id."""
    return tuple(
        BrokerSettings(
            host=broker.host,
            port=broker.port,
            client_id=client_id,
            transport="tcp" if broker.websocket_path is None else "websockets",
            path=broker.websocket_path or "",
            tls=tls,
            username=mqtt.username,
            password=mqtt.secret,
            keepalive_s=mqtt.keepalive_s,
            protocol=mqtt.protocol,
            connect_timeout_s=mqtt.connect_timeout_s,
        )
        for broker in mqtt.brokers
    )


def _open_store(path: Path, report: Callable[[str | None], None], memory: Snapshot, disk: Executor) -> Store:
    """Open the file of a PBX, move what waited in memory there, and read it. Blocks, so it gets a thread."""
    store = Store(path, report)
    hand_over(memory, store)
    store.serve(disk.submit)
    return store


def _tls_settings(tls: Tls) -> TlsSettings:
    return TlsSettings(tls.verify, str(tls.ca_file) if tls.ca_file else None, tls.pin)


def _pbx_contexts(pbxs: Sequence[Pbx]) -> Mapping[TlsSettings, ssl.SSLContext]:
    """One context for each setting, also of a PBX that is reached by http: a wrong file is an error."""
    first = {_tls_settings(tls): (pbx, tls) for pbx in reversed(pbxs) for tls in pbx.all_tls}
    return {settings: _pbx_tls(pbx, tls) for settings, (pbx, tls) in first.items()}


def _pbx_tls(pbx: Pbx, tls: Tls) -> ssl.SSLContext:
    try:
        return context(_tls_settings(tls))
    except OSError as error:
        raise ConfigError((f"pbxs: {pbx.name}: tls.ca_file cannot be used: {_why(error)}",)) from None


def broker_tls(mqtt: Mqtt) -> ssl.SSLContext | None:
    """The TLS context for the broker, if it is reached by TLS. Raises ConfigError."""
    tls = mqtt.tls
    if not any(broker.encrypted for broker in mqtt.brokers):
        return None
    try:
        made = context(_tls_settings(tls))
    except OSError as error:
        raise ConfigError((f"mqtt.tls.ca_file cannot be used: {_why(error)}",)) from None
    try:
        if tls.cert_file is not None:
            # An empty password: without one OpenSSL asks for it at the terminal, and all links wait.
            made.load_cert_chain(tls.cert_file, tls.key_file, password="")
    except OSError as error:
        why = f"{_why(error)} (a key with a passphrase cannot be used)"
        raise ConfigError((f"mqtt.tls: cert_file and key_file cannot be used: {why}",)) from None
    return made


def _why(error: OSError) -> str:
    """What went wrong, in a few words: an SSL error has its own reason."""
    return str(getattr(error, "reason", None) or error.strerror or error)
