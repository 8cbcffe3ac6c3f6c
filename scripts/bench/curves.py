"""What grows with size: one figure of jostle, for sizes from small to large."""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import measure
import programs

GRO = ["datagrams", "--runs", "--sink-runs"]


@dataclass
class Curve:
    """`load` and `arguments` are of a size; a curve without a protocol is the engine's alone."""

    text: str
    sizes: list
    unit: str
    figure: str
    load: object
    protocol: str = None
    arguments: object = lambda size, folder: []


def rules(size, folder):
    """A profile of so many rules that are drawn for each packet and hit none."""
    path = folder / "profile.json"
    path.write_text(json.dumps({"up": [{"rule": "drop", "chance": "0.0000001%"}] * size}))
    return ["--profile", str(path)]


def routes(size, folder):
    """The routes beside the one that is measured, on addresses of the loopback network."""
    return [f"udp://127.1.{n // 250}.{n % 250 + 1}:9=127.0.0.1:9" for n in range(size - 1)]


CURVES = {
    "flows": Curve(
        "UDP flows in turn, runs of 54", [1, 10, 100, 1_000, 10_000], "ns/packet", "ns_per_packet",
        lambda size: [*GRO, "--flows", str(size), "--window", "2048"], "udp",
    ),
    "flows-plain": Curve(
        "UDP flows in turn, single datagrams", [1, 10, 100, 1_000, 10_000], "ns/packet",
        "ns_per_packet", lambda size: ["datagrams", "--batch", "1", "--flows", str(size)], "udp",
    ),
    "connections": Curve(
        "TCP bulk over so many connections", [1, 10, 100, 1_000, 5_000], "ns/KiB", "ns_per_kib",
        lambda size: ["streams", "--connections", str(size), "--write", "64KiB", "--for", "2s"],
        "tcp",
    ),
    "in-flight": Curve(
        "packets in a link with drop + rate + delay", [1_000, 10_000, 100_000, 1_000_000],
        "ns/packet", "ns_each",
        lambda size: ["path", "rules", "--count", "2000000", "--in-flight", str(size)],
    ),
    "in-flight-overtaking": Curve(
        "the same, with jitter by which they overtake", [1_000, 10_000, 100_000, 1_000_000],
        "ns/packet", "ns_each",
        lambda size: ["path", "overtaking", "--count", "2000000", "--in-flight", str(size)],
    ),
    "rules": Curve(
        "rules that hit no packet, runs of 54", [1, 2, 4, 8, 16, 32, 63], "ns/packet",
        "ns_per_packet", lambda size: GRO, "udp", rules,
    ),
    "routes": Curve(
        "routes, of which one carries", [1, 16, 256, 4_096], "ns/packet", "ns_per_packet",
        lambda size: GRO, "udp", routes,
    ),
}


def point(curve, size, path):
    """The figure of one size."""
    if curve.protocol is None:
        return measure.look_up(measure.load_alone(curve.load(size)), curve.figure)
    with tempfile.TemporaryDirectory() as folder:
        command = programs.jostle(path, curve.arguments(size, Path(folder)))
        printed = measure.measure(command, curve.protocol, curve.load(size))
    return measure.look_up(printed, curve.figure)


def run(names, rounds, path=None):
    """The least figure of each size, by curve; None where it could not be measured."""
    results = {}
    for name in names:
        curve, figures = CURVES[name], {}
        for _ in range(rounds):
            for size in curve.sizes:
                try:
                    figures.setdefault(size, []).append(point(curve, size, path))
                except programs.Skip as reason:
                    print(f"{name}: {size} is not measured: {reason}", file=sys.stderr)
        results[name] = {size: min(figures[size]) if size in figures else None for size in curve.sizes}
    return results


def text(name, figures, markdown):
    """A curve for people; each figure also as a multiple of the first."""
    curve = CURVES[name]
    first = next((value for value in figures.values() if value is not None), None)
    head = [f"{size:,}" for size in figures]
    values = ["–" if value is None else f"{value:,.0f} ({value / first:.2f} ×)" for value in figures.values()]
    if markdown:
        rows = [["", *head], ["---"] * (len(head) + 1), [f"`{name}` {curve.text}, {curve.unit}", *values]]
        return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
    widths = [max(len(a), len(b)) for a, b in zip(head, values)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in (head, values)]
    return f"{name}: {curve.text}, {curve.unit}\n  " + "\n  ".join(lines) + "\n"
