"""What grows with size: one figure of jostle, for sizes from small to large."""

import json
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

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


def point(curve, size, path=None):
    """The figure of one size."""
    if curve.protocol is None:
        return measure.look_up(measure.load_alone(curve.load(size)), curve.figure)
    with tempfile.TemporaryDirectory() as folder:
        command = programs.jostle(path, curve.arguments(size, Path(folder)))
        printed = measure.measure(command, curve.protocol, curve.load(size))
    return measure.look_up(printed, curve.figure)


def run(name, rounds):
    """The figures of each size, one for each round in which it could be measured."""
    curve = CURVES[name]
    figures = {size: [] for size in curve.sizes}
    for _ in range(rounds):
        for size in curve.sizes:
            found = measure.tried(f"{name}: {size}", partial(point, curve, size))
            if found is not None:
                figures[size].append(found)
    return figures


def cells(figures):
    """A curve's sizes and medians, ready to print."""
    return {
        f"{size:,}": f"{median(found):,.0f}" if found else "–" for size, found in figures.items()
    }


def text(name, figures):
    """A curve for people; each median also as a multiple of the first."""
    curve = CURVES[name]
    first = next((median(found) for found in figures.values() if found), None)
    head, values = [], []
    for (size, told), found in zip(cells(figures).items(), figures.values()):
        head.append(size)
        values.append(f"{told} ({median(found) / first:.2f} ×)" if found else told)
    widths = [max(len(a), len(b)) for a, b in zip(head, values)]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in (head, values)]
    return f"{name}: {curve.text}, {curve.unit}\n  " + "\n  ".join(lines) + "\n"


def markdown(results):
    """All curves as one table of docs/performance.md."""
    width = max(len(figures) for figures in results.values())
    said = ["| " * (width + 1) + "|", "|---" * (width + 1) + "|"]
    for name, figures in results.items():
        row = [f"{size}: {told}" for size, told in cells(figures).items()]
        row += [""] * (width - len(row))
        said.append("| " + " | ".join([f"{CURVES[name].text}, {CURVES[name].unit}", *row]) + " |")
    return "\n".join(said)
