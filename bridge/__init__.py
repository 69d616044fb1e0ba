"""A bridge between innovaphone PBXs (SOAP) and MQTT."""

__version__ = "0.1.0"
