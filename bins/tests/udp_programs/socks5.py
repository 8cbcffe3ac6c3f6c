"""A SOCKS5 association (RFC 1928, section 7) for asyncio: a transport whose datagrams go through a proxy."""

import asyncio
import ipaddress
import struct


def address(host, port):
    try:
        ip = ipaddress.ip_address(host)
        return (b"\x01" if ip.version == 4 else b"\x04") + ip.packed + struct.pack(">H", port)
    except ValueError:
        name = host.encode()
        return b"\x03" + bytes([len(name)]) + name + struct.pack(">H", port)


async def read_address(reader):
    kind = (await reader.readexactly(1))[0]
    raw = await reader.readexactly({1: 4, 4: 16}[kind])
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    return str(ipaddress.ip_address(raw)), port


def split(datagram):
    """The sender and the payload of a datagram from the proxy."""
    reserved, fragment, kind = struct.unpack(">HBB", datagram[:4])
    assert (reserved, fragment) == (0, 0), datagram[:4]
    length = {1: 4, 4: 16}[kind]
    (port,) = struct.unpack(">H", datagram[4 + length : 6 + length])
    return (str(ipaddress.ip_address(datagram[4 : 4 + length])), port), datagram[6 + length :]


async def ask(host, port, user=None):
    """Asks for an association: the connection that keeps it, and where its datagrams go."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"\x05\x01\x02" if user else b"\x05\x01\x00")
    assert await reader.readexactly(2) == (b"\x05\x02" if user else b"\x05\x00")
    if user:
        name, password = (part.encode() for part in user.split(":"))
        writer.write(b"\x01" + bytes([len(name)]) + name + bytes([len(password)]) + password)
        assert await reader.readexactly(2) == b"\x01\x00"
    writer.write(b"\x05\x03\x00" + address("0.0.0.0", 0))
    answer = await reader.readexactly(3)
    assert answer == b"\x05\x00\x00", answer
    return (reader, writer), await read_address(reader)


class Transport(asyncio.DatagramProtocol):
    """What an inner protocol takes for a datagram transport."""

    def __init__(self, inner):
        self.inner = inner

    def connection_made(self, transport):
        self.transport = transport
        self.inner.connection_made(self)

    def datagram_received(self, datagram, _):
        sender, payload = split(datagram)
        self.inner.datagram_received(payload, sender)

    def error_received(self, error):
        self.inner.error_received(error)

    def connection_lost(self, error):
        self.inner.connection_lost(error)

    def sendto(self, payload, to):
        self.transport.sendto(b"\x00\x00\x00" + address(to[0], to[1]) + payload)

    def get_extra_info(self, name, default=None):
        return self.transport.get_extra_info(name, default)

    def close(self):
        self.transport.close()


async def through(host, port, inner, user=None):
    """Lets a protocol of datagrams run through a proxy; returns what keeps the association."""
    kept, bound = await ask(host, port, user)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Transport(inner), remote_addr=bound)
    return kept, transport
