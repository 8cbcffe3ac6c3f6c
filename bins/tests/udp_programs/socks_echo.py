"""Sends datagrams to an echo server through a SOCKS5 proxy, by every kind of address, and checks what comes back.

The arguments: the proxy's port, USER:PASSWORD or -, the server's port."""

import asyncio
import sys

import socks5


class Client(asyncio.DatagramProtocol):
    def __init__(self):
        self.heard = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, payload, sender):
        self.heard.put_nowait((payload, sender))


async def main():
    proxy, user, server = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    client = Client()
    kept, _ = await socks5.through("127.0.0.1", proxy, client, None if user == "-" else user)
    for host in ["127.0.0.1", "localhost", "127.0.0.1.", "::ffff:127.0.0.1"]:
        for size in [0, 1, 1200, 9000, 60000]:
            sent = bytes(n * 31 & 255 for n in range(size))
            client.transport.sendto(sent, (host, server))
            payload, sender = await asyncio.wait_for(client.heard.get(), 20)
            assert payload == sent, (host, size, len(payload))
            assert sender == ("127.0.0.1", server), (host, sender)
    kept[1].close()
    print("done", flush=True)


asyncio.run(main())
