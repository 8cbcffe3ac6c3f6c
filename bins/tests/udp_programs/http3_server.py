"""Serves one body over HTTP/3 (aioquic): prints its port, then the body's SHA-256, and runs until it is stopped. "pinned": it answers to
the first address of a client alone, as behind a firewall that knows no other. "datagrams=N": it sends such large ones."""

import asyncio
import datetime
import hashlib
import sys

from aioquic.asyncio import QuicConnectionProtocol, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PINNED = "pinned" in sys.argv[2:]
BODY = bytes(n * 2654435761 >> 24 & 255 for n in range(int(sys.argv[1])))


class Server(QuicConnectionProtocol):
    http = None
    first = None

    def datagram_received(self, data, addr):
        self.first = self.first or addr
        super().datagram_received(data, self.first if PINNED else addr)

    def quic_event_received(self, event):
        if isinstance(event, ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        if self.http is None:
            return
        for request in self.http.handle_event(event):
            if isinstance(request, HeadersReceived):
                length = str(len(BODY)).encode()
                self.http.send_headers(request.stream_id, [(b":status", b"200"), (b"content-length", length)])
                self.http.send_data(request.stream_id, BODY, end_stream=True)
                self.transmit()


def self_signed():
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    return builder.not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256()), key


async def main():
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    for argument in sys.argv[2:]:
        if argument.startswith("datagrams="):
            configuration.max_datagram_size = int(argument.removeprefix("datagrams="))
    configuration.certificate, configuration.private_key = self_signed()
    server = await serve("127.0.0.1", 0, configuration=configuration, create_protocol=Server)
    print(server._transport.get_extra_info("sockname")[1], hashlib.sha256(BODY).hexdigest(), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
