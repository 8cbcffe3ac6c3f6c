"""Gets / over HTTP/3 (aioquic) through a SOCKS5 proxy: its port, then the server's host and port. Prints as http3_client.py does."""

import asyncio
import hashlib
import ssl
import sys

from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

import socks5
from http3_client import Client


async def main():
    proxy, host, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    configuration = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE)
    configuration.server_name = "localhost"
    client = Client(QuicConnection(configuration=configuration))
    kept, transport = await socks5.through("127.0.0.1", proxy, client)
    client.connect((host, port))
    await asyncio.wait_for(client.get(), 40)
    print(client.status, len(client.body), hashlib.sha256(client.body).hexdigest(), flush=True)
    client.close()
    await client.wait_closed()
    transport.close()
    kept[1].close()


asyncio.run(main())
