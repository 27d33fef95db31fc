"""Who may connect: CURVE encryption, and one client key that only the owner of the connection file can read."""

from __future__ import annotations

from dataclasses import dataclass, field

import zmq
from zmq.utils import z85

_ZAP_ENDPOINT = "inproc://zeromq.zap.01"
_DOMAIN = b"edtalk"


@dataclass(frozen=True)
class Keys:
    """Keys as Z85 text. Both pairs are new at each start, so an old connection file opens nothing."""

    server_public: str
    server_secret: str = field(repr=False)
    client_public: str
    client_secret: str = field(repr=False)

    @classmethod
    def generate(cls) -> Keys:
        """Make two new key pairs."""
        return cls(*(key.decode() for _ in range(2) for key in zmq.curve_keypair()))


def protect(socket: zmq.Socket[bytes], keys: Keys) -> None:
    """Restrict a socket to holders of the client key. Call it before `bind`."""
    socket.curve_server = True
    socket.curve_secretkey = keys.server_secret.encode()
    socket.curve_publickey = keys.server_public.encode()
    socket.zap_domain = _DOMAIN
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without a gatekeeper that answers, nobody gets in


class Gatekeeper:
    """Tells libzmq which keys may connect (ZeroMQ RFC 27), in the loop of the transport thread."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: Keys) -> None:
        self._allowed = z85.decode(keys.client_public.encode())
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ZAP_ENDPOINT)

    def answer(self) -> None:
        """Answer one waiting request."""
        version, request, domain, _address, _identity, mechanism, *credentials = self.socket.recv_multipart()
        is_allowed = domain == _DOMAIN and mechanism == b"CURVE" and credentials == [self._allowed]
        status = (b"200", b"OK", b"owner") if is_allowed else (b"400", b"unknown key", b"")
        self.socket.send_multipart([version, request, *status, b""])

    def close(self) -> None:
        """Stop answering."""
        self.socket.close()
