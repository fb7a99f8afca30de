"""Incidents, actions and the state of the box, told to other systems: syslog, webhook, MQTT."""
