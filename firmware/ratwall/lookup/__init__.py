"""The certificate look-up: one handshake by the box itself, for a certificate that was hidden."""
