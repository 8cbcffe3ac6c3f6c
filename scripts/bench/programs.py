"""The relays that are measured: how each is started, one way from LISTEN to UPSTREAM."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"


class Skip(Exception):
    """A program that is not there, or cannot do what a row asks for."""


class Failed(Exception):
    """A measurement that came to nothing, and may go well the next time."""


def found(name):
    path = shutil.which(name)
    if path is None:
        raise Skip(f"{name} is not installed")
    return path


def jostle(path=None, arguments=()):
    """jostle, at a path, with rules as arguments."""

    def command(protocol, listen, upstream, folder):
        route = f"{protocol}://{listen}={upstream}"
        return [path or os.environ["JOSTLE"], "proxy", "--json", route, *arguments]

    return command


def nginx(protocol, listen, upstream, folder):
    if not Path(NGINX_STREAM).exists():
        raise Skip("nginx has no stream module")
    how = "udp rcvbuf=4m" if protocol == "udp" else "backlog=4096"
    config = folder / "nginx.conf"
    config.write_text(
        f"""load_module {NGINX_STREAM};
user root; daemon off; worker_processes 1; worker_rlimit_nofile {limit()};
pid {folder}/nginx.pid; error_log {folder}/nginx.log crit;
events {{ worker_connections {limit()}; }}
stream {{ server {{
  listen {listen} {how}; proxy_pass {upstream}; proxy_timeout 1m; proxy_buffer_size 64k;
}} }}
"""
    )
    return [found("nginx"), "-p", str(folder), "-e", f"{folder}/nginx.log", "-c", str(config)]


def haproxy(splice):
    # By itself it splices only what it takes for a stream, which a load on loopback often is not.
    options = ["splice-auto", "splice-request", "splice-response"] if splice else []

    def command(protocol, listen, upstream, folder):
        if protocol == "udp":
            raise Skip("haproxy relays no UDP")
        config = folder / "haproxy.cfg"
        # A connection takes two descriptors, as does each pipe of the pool.
        pipes = 128
        connections = limit() // 2 - pipes - 100
        config.write_text(
            f"""global
  maxconn {connections}
  maxpipes {pipes}
  nbthread 1
defaults
  mode tcp
  {"".join(f"option {option}{chr(10)}  " for option in options)}
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen bench
  bind {listen} backlog 4096
  server upstream {upstream}
"""
        )
        return [found("haproxy"), "-db", "-f", str(config)]

    return command


def socat(protocol, listen, upstream, folder):
    host, port = listen.split(":")
    if protocol == "udp":
        # No child per datagram: one flow.
        return [found("socat"), f"UDP4-LISTEN:{port},bind={host},rcvbuf=4194304", f"UDP4:{upstream}"]
    return [
        found("socat"),
        "-b65536",
        f"TCP4-LISTEN:{port},bind={host},reuseaddr,fork,backlog=4096,nodelay",
        f"TCP4:{upstream},nodelay",
    ]


def rinetd(protocol, listen, upstream, folder):
    (host, port), (to, to_port) = listen.split(":"), upstream.split(":")
    config = folder / "rinetd.conf"
    config.write_text(f"{host} {port}/{protocol} {to} {to_port}/{protocol}\n")
    return [found("rinetd"), "-f", "-c", str(config)]


def toxiproxy(server):
    """Toxiproxy, or a server that reads its configuration."""

    def command(protocol, listen, upstream, folder):
        if protocol == "udp":
            raise Skip(f"{server} relays no UDP")
        config = folder / "toxiproxy.json"
        proxy = {"name": "bench", "listen": listen, "upstream": upstream, "enabled": True}
        config.write_text(json.dumps([proxy]))
        port = int(listen.split(":")[1])
        # Its API wants a port as well: one above those of the loads.
        return [found(server), "-config", str(config), "-port", str(port + 20_000)] if (
            server == "toxiproxy-server"
        ) else [found(server), "--config", str(config), "--port", str(port + 20_000)]

    return command


PEERS = {
    "nginx": nginx,
    "haproxy (splice)": haproxy(True),
    "haproxy": haproxy(False),
    "socat": socat,
    "rinetd": rinetd,
    "noxious": toxiproxy("noxious-server"),
    "toxiproxy": toxiproxy("toxiproxy-server"),
}


def limit():
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def listens(protocol, port):
    """True once somebody listens on a port, by the kernel's table."""
    state = "0A" if protocol == "tcp" else "07"
    for line in Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]:
        words = line.split()
        if words[1].endswith(f":{port:04X}") and words[3] == state:
            return True
    return False


class Running:
    """A relay between two ports, pinned to a processor; it ends with the block."""

    def __init__(self, command, protocol, ports, folder, processor):
        listen, upstream = (f"127.0.0.1:{port}" for port in ports)
        self.protocol, self.port, self.folder = protocol, ports[0], folder
        self.command = command(protocol, listen, upstream, folder)
        if processor is not None:
            self.command = ["taskset", "-c", processor, *self.command]

    def __enter__(self):
        with open(self.folder / "stderr", "wb") as errors, open(self.folder / "stdout", "wb") as out:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors
            )
        until = time.monotonic() + 10
        while not listens(self.protocol, self.port):
            if self.process.poll() is not None or time.monotonic() > until:
                self.__exit__()
                text = (self.folder / "stderr").read_text(errors="replace").strip()
                raise Failed(f"{' '.join(self.command)}: {text[-300:] or 'it does not listen'}")
            time.sleep(0.02)
        return self.process.pid

    def said(self):
        """What it has printed."""
        return (self.folder / "stdout").read_text(errors="replace")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
