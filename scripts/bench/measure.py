"""One measurement: a relay on one processor, the load on another."""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from programs import Failed, Running, Skip

# Reserved below, so that no connection's own port is one of them.
PORTS = itertools.count(20_000, 2)
PORTS_LAST = 29_998

NICE = -10

# How often a measurement is tried that comes to nothing.
TRIES = 3


def prepare():
    """Makes the network of this namespace usable."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    settings = Path("/proc/sys/net/ipv4")
    (settings / "ip_local_port_range").write_text("1024 65535")
    (settings / "ip_local_reserved_ports").write_text(f"20000-{PORTS_LAST + 1},40000-49999")
    try:
        # Other work on the machine disturbs less. Where the scheduler groups processes by session
        # (sched(7), autogroup), it is the group's niceness that counts beyond it.
        os.nice(NICE)
        os.setsid()
        Path("/proc/self/autogroup").write_text(str(NICE))
    except OSError:
        print("other work on the machine has the same priority", file=sys.stderr)


def processors():
    """The processors of the load and of the relay; the same if there is only one."""
    there = sorted(os.sched_getaffinity(0))
    return str(there[0]), str(there[min(1, len(there) - 1)])


def look_up(told, path):
    """The figure at a path such as `times.p50_us`."""
    figure = told
    for key in path.split("."):
        figure = figure[key]
    if figure is None:
        raise Failed(f"nothing arrived: {told}")
    return figure


def tried(name, figures):
    """What `figures` returns, tried again if it fails; None, with the reasons told, if it always does."""
    for attempt in range(1, TRIES + 1):
        try:
            return figures()
        except Failed as reason:
            print(f"{name}: attempt {attempt} of {TRIES} failed: {reason}", file=sys.stderr)
    return None


def load_alone(load, seconds_max=60):
    """What jostle-load prints by itself, on the processor of relays."""
    return printed(["taskset", "-c", processors()[1], os.environ["LOAD"], *load], seconds_max)


def sweep(program, load):
    """The processor time of a sweep in virtual time, over the processors that it may have."""
    program = program or os.environ["JOSTLE"]
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--seed", "7", "-o", f"{folder}/rows.jsonl"]
        process = subprocess.Popen(
            [program, *load, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise Failed(f"the sweep ended with status {process.returncode}")
    seconds = used.ru_utime + used.ru_stime
    return {"seconds": seconds / len(os.sched_getaffinity(0))}


def printed(command, seconds_max):
    """The object that a command prints."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds_max, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"not done after {seconds_max} s") from None
    if done.returncode != 0:
        raise Failed(done.stderr.strip()[-300:])
    return json.loads(done.stdout)


def measure(command, protocol, load, seconds_max=60, pinned=True):
    """What jostle-load prints about one relay, and how often its workers waited for each other.

    Without a command there is no relay: the ends of the load meet at one port.
    """
    ports = (next(PORTS), next(PORTS) - 1)
    if ports[0] > PORTS_LAST:
        raise Skip("out of ports")
    both = ",".join(processors())
    load_processor, relay_processor = processors() if pinned else (both, both)
    listen, upstream = (f"127.0.0.1:{port}" for port in ports)

    def loaded(to, process):
        arguments = ["--to", to, "--sink", upstream, "--of", str(process)]
        command = ["taskset", "-c", load_processor, os.environ["LOAD"], *load, *arguments]
        return printed(command, seconds_max)

    if command is None:
        # In place of a relay, a program that takes no time.
        with subprocess.Popen(["sleep", str(seconds_max)]) as idle:
            try:
                return loaded(upstream, idle.pid)
            finally:
                idle.kill()
    with tempfile.TemporaryDirectory() as folder:
        relay = Running(command, protocol, ports, Path(folder), relay_processor)
        with relay as process:
            told = loaded(listen, process)
        return told | contended(relay.said())


def contended(said):
    """How often workers waited for each other, by the last object that jostle printed."""
    try:
        waits = json.loads(said.splitlines()[-1])["contended"]
    except (IndexError, ValueError, KeyError):
        return {}
    return {"contended": sum(waits.values())}
