"""The pages that the browser walks: each at every width, light and dark, in every language.

One line for each page: the name of its picture, and its address in the office that
`test_pages` fills (an incident, a device and a connection, each with number 1).
"""

PAGES = {
    "overview": "/",
    "first-run-place": "/first-run/place",
    "first-run-protection": "/first-run/protection",
    "first-run-test": "/first-run/test",
    "incidents": "/incidents/",
    "incident": "/incidents/1",
    "devices": "/devices/",
    "device": "/devices/1",
    "connections": "/connections/",
    "block": "/connections/1/block",
    "allowed": "/allowed/",
    "lists": "/lists/",
    "rules": "/rules/",
    "servers": "/servers/",
    "server": "/servers/203.0.113.7",
    "server-certificates": "/servers/certificates/",
    "server-certificate": "/servers/certificates/1",
    "settings": "/settings",
    "power": "/power/",
    "backup": "/settings/backup/",
    "messages": "/settings/messages/",
    "values": "/settings/values/",
    "value": "/settings/values/detection",
    "updates": "/updates/",
    "support": "/support/",
    "update-file": "/updates/file",
    "audit": "/audit/",
    "tokens": "/tokens/",
    "users": "/users/",
    "user": "/users/00000001",
    "account": "/account/",
    "certificate": "/certificate/",
    "second-step": "/account/second-step",
}
