"""Gets / over HTTP/3 (aioquic) from a port of 127.0.0.1 and prints the status, the length and the SHA-256 of what came; "died" in
place of the status if nothing came for N seconds ("patience=N"). With "pings" it says something now and then, as one behind a NAT does:
whoever only listens is not heard of after the NAT has forgotten it."""

import asyncio
import hashlib
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.status, self.body = None, b""
        self.done = asyncio.get_running_loop().create_future()

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated) and not self.done.done():
            self.status = "died"
            self.done.set_result(None)
        for answer in self.http.handle_event(event):
            if isinstance(answer, HeadersReceived) and self.status is None:
                self.status = dict(answer.headers)[b":status"].decode()
            if isinstance(answer, DataReceived):
                self.body += answer.data
            if getattr(answer, "stream_ended", False) and not self.done.done():
                self.done.set_result(None)

    async def ping_for_ever(self):
        for number in range(1_000_000):
            self._quic.send_ping(number)
            self.transmit()
            await asyncio.sleep(0.03)

    async def get(self):
        stream = self._quic.get_next_available_stream_id()
        headers = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", b"/")]
        self.http.send_headers(stream, headers, end_stream=True)
        self.transmit()
        await self.done


async def main():
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)
    for argument in sys.argv[2:]:
        if argument.startswith("patience="):
            configuration.idle_timeout = float(argument.removeprefix("patience="))
    async with connect("127.0.0.1", int(sys.argv[1]), configuration=configuration, create_protocol=Client, wait_connected=False) as client:
        pings = asyncio.create_task(client.ping_for_ever()) if "pings" in sys.argv[2:] else None
        await asyncio.wait_for(client.get(), 60)
        if pings:
            pings.cancel()
        print(client.status, len(client.body), hashlib.sha256(client.body).hexdigest(), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
