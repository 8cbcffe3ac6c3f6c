#!/usr/bin/env python3
"""How well each toxic keeps its promise, over loopback: toxic-timing.py [JOSTLE] (unless stated target/release/jostle).

latency, slow_close, reset_peer and timeout within 5 ms; bandwidth within 1 % from 10 KB/s to 500 MB/s. Prints a table, and ends with 1
when a median misses its promise. What it measures is the machine too: let it be idle, or run it with a priority of its own
(chrt -f 10 scripts/toxic-timing.py).
"""
import http.client, json, os, socket, statistics, subprocess, sys, threading, time

WITHIN_MS, WITHIN_SHARE, REPEAT = 5, 0.01, int(os.environ.get("REPEAT", 9))
jostle = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../target/release/jostle"))
missed = []
now = time.monotonic


def call(method, path, body=None):
    api.request(method, path, None if body is None else json.dumps(body))
    answer = api.getresponse()
    text = answer.read()
    assert answer.status < 300, (method, path, answer.status, text)
    return json.loads(text) if text else None


class Server:
    """Does with each connection what it is told to."""

    def __init__(self):
        self.listener, self.serve = socket.create_server(("127.0.0.1", 0)), None
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            stream = self.listener.accept()[0]
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.guarded, args=(stream, self.serve), daemon=True).start()

    def guarded(self, stream, serve):
        with stream:
            try:
                serve(stream)
            except OSError:
                pass


def connect():
    stream = socket.create_connection(("127.0.0.1", port), timeout=60)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def exactly(stream, count):
    buffer, left = bytearray(min(count, 1 << 20)), count
    while left:
        got = stream.recv_into(buffer, min(left, len(buffer)))
        assert got, "closed with %d bytes to come" % left
        left -= got


def echo(stream):
    while data := stream.recv(65536):
        stream.sendall(data)


def answer_then_close(stream):
    stream.recv(1)
    stream.sendall(b"x")


def latency():
    server.serve = echo
    with connect() as stream:
        exactly_one = lambda: (stream.sendall(b"x"), exactly(stream, 1))
        exactly_one()
        began = now()
        exactly_one()
        return now() - began


def slow_close():
    server.serve = answer_then_close
    with connect() as stream:
        stream.sendall(b"x")
        exactly(stream, 1)
        began = now()
        assert stream.recv(1) == b""
        return now() - began


def reset_peer():
    server.serve = echo
    with connect() as stream:
        began = now()
        stream.sendall(b"x")
        try:
            assert stream.recv(1) and False, "it was not reset"
        except ConnectionResetError:
            return now() - began


def timeout():
    server.serve = lambda stream: [None for _ in iter(lambda: stream.recv(4096), b"")]
    with connect() as stream:
        stream.sendall(b"x")
        began = now()
        assert stream.recv(1) == b""
        return now() - began


def row(kind, wanted, got, error, holds):
    if not holds:
        missed.append(kind)
    print("%-12s %14s %14s %10s%s" % (kind, wanted, got, error, "" if holds else "  MISSED"), flush=True)


def toxic(kind, stream="downstream", **attributes):
    call("POST", "/reset")
    call("POST", "/proxies/p/toxics", {"type": kind, "stream": stream, "attributes": attributes})


def timings():
    for kind, name, measure, times in [
        ("latency", "latency", latency, (1, 10, 100, 1000)),
        ("slow_close", "delay", slow_close, (10, 100, 500)),
        ("reset_peer", "timeout", reset_peer, (0, 10, 100, 500)),
        ("timeout", "timeout", timeout, (10, 100, 500)),
    ]:
        for wanted in times:
            toxic(kind, "upstream" if kind in ("timeout", "reset_peer") else "downstream", **{name: wanted})
            got = [1e3 * measure() for _ in range(REPEAT)]
            middle = statistics.median(got)
            row(kind, "%d ms" % wanted, "%.2f ms" % middle, "%+.2f ms" % (middle - wanted),
                abs(middle - wanted) <= WITHIN_MS and min(got) >= wanted - 0.1)


def bandwidth():
    for rate in (10, 100, 1000, 10_000, 100_000, 500_000):
        toxic("bandwidth", rate=rate)
        # A second and a half of data, and no less than what makes single pieces small beside the whole.
        count = rate * 1500

        def flood(stream):
            piece = bytes(1 << 20)
            try:
                while True:
                    stream.sendall(piece)
            except OSError:
                pass

        server.serve, got = flood, []
        for _ in range(3):
            with connect() as stream:
                # The pace from one byte to another one: what is under way when it begins does not count.
                exactly(stream, max(1, rate * 100))
                began = now()
                exactly(stream, count)
                got.append(count / (now() - began) / 1000)
        middle = statistics.median(got)
        row("bandwidth", "%d KB/s" % rate, "%.1f KB/s" % middle, "%+.2f %%" % (100 * (middle / rate - 1)),
            abs(middle / rate - 1) <= WITHIN_SHARE)


server = Server()
proxy = subprocess.Popen([jostle, "proxy", "--json", "--api=127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
try:
    for line in proxy.stdout:
        event = json.loads(line)
        if event["event"] == "api":
            break
    threading.Thread(target=lambda: [None for _ in proxy.stdout], daemon=True).start()
    api = http.client.HTTPConnection(event["address"], timeout=60)
    created = call("POST", "/proxies", {"name": "p", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:%d" % server.listener.getsockname()[1]})
    port = int(created["listen"].rsplit(":", 1)[1])
    print("%-12s %14s %14s %10s" % ("toxic", "promised", "median", "error"))
    timings()
    bandwidth()
finally:
    proxy.terminate()
    proxy.wait()
sys.exit(bool(missed))
