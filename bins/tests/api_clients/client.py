"""Toxiproxy's client for Python, unchanged, against an API: client.py PORT."""
import socket, sys, threading, time

from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists


def echo_server():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(stream):
        with stream:
            while data := stream.recv(65536):
                stream.sendall(data)

    def accept():
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return "127.0.0.1:%d" % listener.getsockname()[1]


def connect(proxy):
    host, port = proxy.listen.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def echo(stream, data=b"hello"):
    began = time.monotonic()
    stream.sendall(data)
    came = b""
    while len(came) < len(data):
        piece = stream.recv(65536)
        assert piece, "it was closed"
        came += piece
    assert came == data
    return time.monotonic() - began


def raises(kind, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except kind:
        return
    raise AssertionError("%s was not raised" % kind.__name__)


upstream = echo_server()
server = Toxiproxy()
server.update_api_consumer("127.0.0.1", int(sys.argv[1]))
assert server.running()
assert server.version() == b'{"version": "2.12.0"}\n'
assert server.proxies() == {} and server.get_proxy("echo") is None

proxy = server.create(upstream=upstream, name="echo")
assert proxy.enabled and proxy.upstream == upstream and not proxy.listen.endswith(":0")
raises(ProxyExists, server.create, upstream=upstream, name="echo")
assert list(server.proxies()) == ["echo"] and server.get_proxy("echo").listen == proxy.listen
with connect(proxy) as stream:
    assert echo(stream) < 0.2

    # Toxics on a connection that is open.
    proxy.add_toxic(type="latency", attributes={"latency": 250, "jitter": 0})
    raises(ProxyExists, proxy.add_toxic, type="latency")
    raises(InvalidToxic, proxy.add_toxic, type="nonsense")
    proxy.add_toxic(type="bandwidth", stream="upstream", name="slow", toxicity=0.5, attributes={"rate": 1000000})
    toxics = proxy.toxics()
    assert list(toxics) == ["slow", "latency_downstream"], toxics
    assert toxics["slow"].attributes == {"rate": 1000000} and toxics["slow"].toxicity == 0.5
    assert proxy.get_toxic("latency_downstream").attributes == {"latency": 250, "jitter": 0}
    assert 0.25 <= echo(stream) < 1
    assert proxy.destroy_toxic("latency_downstream") and proxy.get_toxic("latency_downstream") is None
    raises(NotFound, proxy.destroy_toxic, "latency_downstream")
    assert echo(stream) < 0.2

    with proxy.down():
        assert not server.get_proxy("echo").enabled
        assert stream.recv(1) == b"", "its connections are closed"
        raises(ConnectionRefusedError, connect, proxy)
with connect(proxy) as stream:
    echo(stream)
    proxy.disable()
    assert server.reset() and server.get_proxy("echo").enabled and server.get_proxy("echo").toxics() == {}
proxies = server.populate([
    {"name": "echo", "upstream": upstream, "listen": proxy.listen},
    {"name": "other", "upstream": upstream, "listen": "127.0.0.1:0"},
])
assert [one.name for one in proxies] == ["other"], "only what was not there"
with connect(proxies[0]) as stream:
    echo(stream, b"x" * 1000000)
assert proxy.destroy()
raises(NotFound, proxy.destroy)
server.destroy_all()
assert server.proxies() == {}
print("done")
