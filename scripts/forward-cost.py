#!/usr/bin/env python3
"""What it costs to let clients say where they want to go, beside a route with an upstream.

Processor time of the proxy per KiB and per connection, connections per second one after the other,
and COUNT connections at once, each of which echoes its own bytes. Without rules, on loopback.

Usage: scripts/forward-cost.py [--jostle PATH] [--rounds 7] [--mib 256] [--connections 2000]
                               [--at-once 5000]
"""
import argparse
import json
import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import threading
import time

WAYS = ["tcp", "socks5", "http-proxy"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jostle", default="target/release/jostle")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=5000)
    asked = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = serve()
    routes = [f"tcp://127.0.0.1:0=127.0.0.1:{server}", "socks5://127.0.0.1:0", "http-proxy://127.0.0.1:0"]
    proxy = subprocess.Popen([asked.jostle, "proxy", "--json", *routes], stdout=subprocess.PIPE, text=True)
    try:
        addresses = {}
        for _ in routes:
            scheme, address = json.loads(proxy.stdout.readline())["address"].split("://")
            host, port = address.rsplit(":", 1)
            addresses[scheme] = (host, int(port))
        throughput(proxy.pid, addresses, server, asked)
        handshakes(proxy.pid, addresses, server, asked)
        at_once(addresses, server, asked.at_once)
    finally:
        proxy.terminate()
        proxy.wait()


def serve():
    """Starts a server in a process of its own: 'N<count>\n' is answered with so many bytes, anything else echoed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    port = listener.getsockname()[1]
    if os.fork() == 0:
        try:
            answer(listener)
        finally:
            os._exit(0)
    listener.close()
    return port


def answer(listener):
    parent = os.getppid()
    listener.setblocking(False)
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ)
    block = bytes(1 << 20)
    while os.getppid() == parent:
        for key, _ in ready.select(1):
            if key.fileobj is listener:
                try:
                    while True:
                        stream, _ = listener.accept()
                        stream.setblocking(False)
                        ready.register(stream, selectors.EVENT_READ)
                except BlockingIOError:
                    continue
            stream = key.fileobj
            try:
                said = stream.recv(4096)
                if said.startswith(b"N"):
                    stream.setblocking(True)
                    for _ in range(int(said[1:]) // len(block)):
                        stream.sendall(block)
                    said = b""
                elif said:
                    stream.sendall(said)
            except OSError:
                said = b""
            if not said:
                ready.unregister(stream)
                stream.close()


def request(way, server):
    """Returns what a client says first, and how many bytes answer it."""
    if way == "socks5":
        return b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01" + server.to_bytes(2, "big"), 12
    if way == "http-proxy":
        return b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: a\r\n\r\n" % server, 39
    return b"", 0


def connected(way, addresses, server):
    stream = socket.create_connection(addresses[way])
    stream.settimeout(60)
    said, size = request(way, server)
    stream.sendall(said)
    while size:
        size -= len(stream.recv(size)) or sys.exit(f"{way}: refused")
    return stream


def processor(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as file:
            total += int(file.read().split()[0])
    return total


def report(name, unit, found):
    base = statistics.median(found["tcp"])
    for way in WAYS:
        middle = statistics.median(found[way])
        print(f"{name:12} {way:12} {middle:12,.1f} {unit}  {100 * (middle / base - 1):+6.1f} %")


def throughput(pid, addresses, server, asked):
    found = {way: [] for way in WAYS}
    buffer = bytearray(1 << 20)
    for _ in range(asked.rounds):
        for way in WAYS:
            stream = connected(way, addresses, server)
            before, got = processor(pid), 0
            stream.sendall(b"N%d\n" % (asked.mib << 20))
            while count := stream.recv_into(buffer):
                got += count
            assert got == asked.mib << 20, (way, got)
            found[way].append((processor(pid) - before) / (got / 1024))
            stream.close()
    report("stream", "ns/KiB", found)


def handshakes(pid, addresses, server, asked):
    found, rates = {way: [] for way in WAYS}, {way: [] for way in WAYS}
    for _ in range(3):
        for way in WAYS:
            before, begun = processor(pid), time.monotonic()
            for _ in range(asked.connections):
                stream = connected(way, addresses, server)
                stream.sendall(b"x")
                assert stream.recv(1) == b"x"
                stream.close()
            rates[way].append(asked.connections / (time.monotonic() - begun))
            found[way].append((processor(pid) - before) / asked.connections / 1000)
    report("connection", "us of processor", found)
    report("connections", "per second, one after the other", rates)


def at_once(addresses, server, count):
    for way in WAYS:
        begun = time.monotonic()
        streams = []
        failed = []

        def open_some(share):
            try:
                for _ in range(share):
                    streams.append(connected(way, addresses, server))
            except OSError as error:
                failed.append(error)

        threads = [threading.Thread(target=open_some, args=(count // 8,)) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        if failed:
            sys.exit(f"{way}: {len(streams)} of {count} connections stand: {failed[0]}")
        for number, stream in enumerate(streams):
            stream.sendall(b"x%d" % number)
        wrong = sum(stream.recv(64) != b"x%d" % number for number, stream in enumerate(streams))
        print(f"at once      {way:12} {len(streams):8,} stand and echo in {time.monotonic() - begun:.1f} s, {wrong} wrong")
        for stream in streams:
            stream.close()


if __name__ == "__main__":
    main()
