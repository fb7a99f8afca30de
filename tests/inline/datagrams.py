"""Datagrams and raw frames through the box: asked and answered, or seen at the far end."""

import socket

from ratwall_lab.namespaces import Host

ANSWER_SECONDS = 3.0
ETH_P_ALL = 0x0003


def ask_by_udp(device: Host, server: Host, address: str, port: int, questions: int = 1) -> bool:
    """Send datagrams from a port of their own; True when every one was answered.

    ConnectionRefusedError if the device is told that nobody listens, TimeoutError if it hears
    nothing.
    """
    with server.enter():
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with device.enter():
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener, asker:
        for one in (listener, asker):
            one.settimeout(ANSWER_SECONDS)
        listener.bind((address, port))
        asker.connect((address, port))
        for _ in range(questions):
            asker.send(b"question")
            try:
                _, peer = listener.recvfrom(100)
            except TimeoutError:
                asker.recv(100)  # raises: told, or not
                return False
            listener.sendto(b"answer", peer)
            asker.recv(100)
    return True


def send_frames(device: Host, receiver: Host, frame: bytes, number: int) -> int:
    """Send a frame from one host's card several times; return how many came to the other's."""
    with receiver.enter():
        ears = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    with device.enter():
        mouth = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with ears, mouth:
        ears.bind(("eth0", ETH_P_ALL))
        ears.settimeout(ANSWER_SECONDS)
        mouth.bind(("eth0", 0))
        for _ in range(number):
            mouth.send(frame)
        arrived = 0
        while arrived < number:
            try:
                # The kernel takes the outer tag off for us: what is inside it tells.
                arrived += frame[-len(frame) // 2 :] in ears.recv(len(frame))
            except TimeoutError:
                break
    return arrived
