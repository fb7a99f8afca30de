"""TLS as a passive observer reads it: records, handshake messages, the facts they show."""
