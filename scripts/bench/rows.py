"""The rows: a load, the programs that carry it, the figure that counts, and what is wanted of it."""

from dataclasses import dataclass, field

SLOW = ["--warm-up", "1500ms"]
RULES = ["--up-drop", "1%", "--up-delay", "20ms"]


@dataclass
class Row:
    """One line of the comparison. `figure` is the path of the figure in what jostle-load prints."""

    name: str
    text: str
    protocol: str
    load: list
    figure: str
    unit: str
    peers: list
    # What the first program's figure is divided by, and the most that the ratio or the figure may be.
    against: str = None
    ratio_max: float = None
    figure_max: float = None
    # Programs of jostle's own beside the plain one: name -> (arguments, more of the load).
    variants: dict = field(default_factory=dict)
    # Whether the plain one is measured.
    plain: bool = True
    # Whether relay and load have a processor each, and not both of them together.
    pinned: bool = True
    # Which of them the goal speaks of.
    subject: str = "jostle"
    # Loads that run without a relay, to see what the machine does: name -> load.
    alone: dict = field(default_factory=dict)
    # Whether the load is measured without a relay as well: what no relay can go below.
    direct: bool = False
    # Other figures that are told: label -> path.
    beside: dict = field(default_factory=dict)


UDP_PEERS = ["nginx", "socat", "rinetd"]
TCP_PEERS = ["haproxy (splice)", "haproxy", "nginx", "socat", "rinetd", "noxious", "toxiproxy"]
RATE = {"packets/s": "packets_per_second", "lost": "lost", "share": "processor_share"}
SPEED = {"MB/s": "mb_per_second", "share": "processor_share"}
TRIPS = {"p99 µs": "times.p99_us", "ns CPU": "ns_per_round_trip"}
LATE = {
    "p99 µs": "lateness.p99_us",
    "least µs": "lateness.least_us",
    "early": "early",
    "lost": "lost",
    "not judged": "not_judged",
    "load away": "away_share",
    "share": "processor_share",
}
UDP_LOADS = {
    "udp-gso": ("GSO sender, plain receiver", ["--runs"], 0.22),
    "udp-gro": ("GSO sender, GRO receiver", ["--runs", "--sink-runs"], 0.06),
    "udp-plain": ("plain sender, batches of 8", ["--batch", "8"], 0.50),
}


def udp_rows():
    for name, (text, load, goal) in UDP_LOADS.items():
        yield Row(
            name, f"UDP 1200 B, {text}", "udp", ["datagrams", *load], "ns_per_packet", "ns/packet",
            UDP_PEERS, "nginx", goal, beside=RATE,
        )
    for name, (text, load, _) in UDP_LOADS.items():
        load = ["datagrams", "--window", "1024", *SLOW, *load]
        yield Row(
            f"{name}-rules", f"the same, {text}, drop 1 % + delay 20 ms", "udp", load,
            "ns_per_packet", "ns/packet", [], "jostle", 1.25,
            variants={
                "drop": (RULES[:2], []),
                "delay": (RULES[2:], ["--delay", "20ms"]),
                "drop + delay": (RULES, ["--delay", "20ms"]),
            },
            subject="drop + delay", beside=RATE,
        )


def tcp_rows():
    for count in (1, 32):
        yield Row(
            f"tcp-{count}", f"TCP bulk, no rules, {count} connection{'s'[: count > 1]}", "tcp",
            ["streams", "--connections", str(count)], "ns_per_kib", "ns/KiB",
            TCP_PEERS, "haproxy (splice)", 1.0, beside=SPEED,
        )
    yield Row(
        "tcp-model", "TCP bulk, modelled route, a round trip of 1 ms (up 1 ms)", "tcp",
        ["streams", *SLOW], "ns_per_kib", "ns/KiB", ["noxious", "toxiproxy"],
        None, None, 800, variants={"delay 1 ms": (["--up-delay", "1ms"], [])},
        subject="delay 1 ms", beside=SPEED,
    )
    for name, text, load, goal in (
        ("ping-spin", "ends that spin", ["--spin"], 0.40),
        ("ping-sleep", "ends that sleep", [], 0.60),
    ):
        yield Row(
            name, f"1-byte ping-pong, p50, {text}", "tcp", ["ping-pong", *load], "times.p50_us",
            "µs", TCP_PEERS, "haproxy (splice)", goal, direct=True, beside=TRIPS,
        )
    yield Row(
        "connects", "connection set-up, 32 at once", "tcp", ["connects"], "ns_per_connection",
        "ns/connection", TCP_PEERS, "haproxy (splice)", 0.90,
        beside={"connections/s": "connections_per_second"},
    )


def memory_rows():
    # socat has a process for each, and rinetd no more than select(2) can tell apart.
    yield Row(
        "idle-tcp", "idle TCP connection, user memory (PSS)", "tcp", ["idle"],
        "kib_per_connection", "KiB", [peer for peer in TCP_PEERS if peer not in ("socat", "rinetd")],
        "haproxy (splice)", None, 0.20,
    )
    yield Row(
        "idle-udp", "idle UDP flow, user memory (PSS)", "udp", ["flows"], "kib_per_flow", "KiB",
        ["nginx"], "nginx", None, 0.35,
    )


def delay_rows():
    for rate in (1_000, 50_000):
        load = ["lateness", "--rate", str(rate), "--delay", "20ms", "--for", "2s"]
        delay = ["--up-delay", "20ms"]
        clock = ["clock", "--rate", str(rate), "--for", "2s"]
        yield Row(
            f"delay-{rate // 1000}k", f"delay 20 ms, Poisson, {rate:,} packets/s, p50 late (p99: 60 µs, 150 without)", "udp",
            load, "lateness.p50_us", "µs", [], None, None, 10,
            variants={"delay": (delay, []), "delay, --realtime": ([*delay, "--realtime"], [])},
            plain=False, alone={"the machine": clock, "the machine, --realtime": [*clock, "--realtime"]},
            subject="delay, --realtime", beside=LATE,
        )


def worker_rows():
    # The load is a fraction of what the model takes, so that one worker is what limits the rate.
    load = ["streams", "--connections", "32", *SLOW, "--for", "2s"]
    delay = ["--up-delay", "1ms"]
    several = [*delay, "--workers", "2", "--spread"]
    yield Row(
        "workers", "TCP bulk, modelled route (up 1 ms), 32 connections, one worker and two", "tcp",
        load, "ns_per_kib", "ns/KiB", [], "1 worker",
        variants={"1 worker": (delay, []), "2 workers": (several, [])},
        plain=False, pinned=False, beside={**SPEED, "waits": "contended"},
    )


def alone_rows():
    """What needs no network: the engine's paths, and sweeps in virtual time."""
    for path, text, goals in (
        ("rules", "drop + rate + delay", (60, 70)),
        ("jitter", "the same with normal jitter", (100, 120)),
        ("overtaking", "the same with overtaking", (110, 150)),
    ):
        for in_flight, name, goal in zip((1_000, 1_000_000), ("1k", "1m"), goals):
            load = ["path", path, "--in-flight", str(in_flight), "--count", "2000000"]
            yield Row(
                f"engine-{path}-{name}", f"engine, {text}, {in_flight:,} in flight", None, load,
                "ns_each", "ns/packet", [], None, None, goal, subject="engine",
            )
    saw = ["--protocol", "saw", "--vary", "loss=1%", "--repeat", "10000"]
    tcp = ["--protocol", "tcp", "--size", "1MiB", "--vary", "loss=2%", "--repeat", "2000"]
    for name, text, sweep, goal in (
        ("virtual-saw", "10,000 virtual cells of saw, 64 KiB, drop 1 %", saw, 0.4),
        ("virtual-tcp", "2,000 virtual cells of TCP, 1 MiB, drop 2 %", tcp, 1.0),
    ):
        yield Row(
            name, f"{text}; processor time over processors", None, ["sweep", "--virtual", *sweep],
            "seconds", "s", [], None, None, goal,
        )


GROUPS = (udp_rows, tcp_rows, memory_rows, delay_rows, worker_rows, alone_rows)
ROWS = {row.name: row for rows in GROUPS for row in rows()}
