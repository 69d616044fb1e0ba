"""The broker side: one MQTT session per PBX. paho stays inside client.py."""
