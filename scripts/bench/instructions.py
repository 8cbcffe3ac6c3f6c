"""Counts the instructions of the hot paths and compares them with what is stored."""

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

STORED = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.03
RELEASE = Path("target/release")

# 54 packets are a run, and 1,080 are in flight: both counts are whole runs.
PACKETS = ["--in-flight", "1080"]


def path(name, count, *more):
    """A path of jostle-load, of which a run takes so many, and twice as many."""
    command = [RELEASE / "jostle-load", "path", name, "--untimed", *more, "--count"]
    return count, lambda count, folder: [*command, str(count)]


def cells(protocol, count, *more):
    """Cells of a sweep in virtual time, with all that belongs to one: setting, rows, output."""

    def command(count, folder):
        return [
            RELEASE / "jostle", "sweep", "--virtual", "--jobs", "1", "--seed", "7",
            "--protocol", protocol, "--vary", "loss=2%", "--repeat", str(count), *more,
            "-o", f"{folder}/rows.jsonl",
        ]

    return count, command


PATHS = {
    "packet, no rules": path("no-rules", 10_800, *PACKETS),
    "packet, delay": path("delay", 10_800, *PACKETS),
    "packet, drop + rate + delay": path("rules", 10_800, *PACKETS),
    "packet, the same, normal jitter": path("jitter", 10_800, *PACKETS),
    "packet, the same, overtaking": path("overtaking", 10_800, *PACKETS),
    "packet of a run, drop + delay": path("run", 108_000, *PACKETS),
    "packet, 32 rules": path("many-rules", 5_400, *PACKETS, "--rules", "32"),
    "TCP transfer, 1 MiB": path("transfer", 4),
    "TCP transfer, 1 MiB, drop 2 %": path("lossy-transfer", 4),
    "virtual cell, saw 64 KiB, drop 2 %": cells("saw", 20),
    "virtual cell, TCP 1 MiB, drop 2 %": cells("tcp", 5, "--size", "1MiB"),
}


def collected(command):
    """The instructions of one run."""
    callgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    # Where a program's memory lies must not make a difference: no address is random.
    done = subprocess.run(
        ["setarch", "-R", *callgrind, *map(str, command)],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"},
    )
    told = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or told is None:
        sys.exit(f"{command}: {done.stderr[-500:]}")
    return int(told[1])


def counted(name):
    """Instructions of one: what twice as many take beyond so many."""
    count, command = PATHS[name]
    with tempfile.TemporaryDirectory() as once, tempfile.TemporaryDirectory() as twice:
        difference = collected(command(2 * count, twice)) - collected(command(count, once))
    return round(difference / count)


def main():
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        now = dict(zip(PATHS, pool.map(counted, PATHS)))
    if "--bless" in sys.argv[1:]:
        STORED.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n")
    bad = 0
    print(f"{'instructions of one':36} {'now':>12} {'stored':>12}")
    for name, count in now.items():
        bound = stored.get(name)
        change = None if bound is None else count / bound - 1
        verdict = "not stored" if bound is None else f"{change:+.1%}"
        if bound is None or abs(change) > TOLERANCE:
            bad += 1
            verdict += "" if bound is None else f", beyond {TOLERANCE:.0%}"
        told = "–" if bound is None else f"{bound:,}"
        print(f"{name:36} {count:12,} {told:>12}  {verdict}")
    for name in stored.keys() - now.keys():
        print(f"{name:36} is stored and not counted")
        bad += 1
    if bad and "--bless" not in sys.argv[1:]:
        sys.exit("if that is meant, or the compiler is another: scripts/instructions.sh --bless")


if __name__ == "__main__":
    main()
