"""One PBX with its two sessions: state, outbox, commands and its files. Knows neither SOAP nor paho."""
