"""Run by the Python of a program: CPU seconds until the libraries that it depends on are imported."""

import importlib
import re
import time
from importlib.metadata import requires

MODULES = {
    "lxml": "lxml.etree",
    "paho-mqtt": "paho.mqtt.client",
    "phonenumberslite": "phonenumbers",
    "prometheus-client": "prometheus_client",
    "pyyaml": "yaml",
    "rpds-py": "rpds",
}
"""Modules that are not called as their package is."""

importlib.import_module("asyncio")
for requirement in requires("innovaphone-mqtt") or ():
    if "extra ==" not in requirement:
        package = re.split(r"[^\w-]", requirement)[0]
        importlib.import_module(MODULES.get(package.lower(), package))
print(time.process_time())  # noqa: T201
