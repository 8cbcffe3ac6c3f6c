#!/usr/bin/env python3
"""How long headless Chromium takes for a page with fifty resources behind a network, by each way to bring a browser behind it.

scripts/page-load.py [--profile webpagetest-3g] [--runs 5] [--programs target/release]

The page is that of `bins/tests/clients/page.py`, served by `jostle-server http`. The ways take turns, each run in a new browser and
behind a new proxy. Beside the medians stands what the link alone would need: the bytes at its rate, and the round trips of a browser
that has six connections, no request in front of an answer, and no server that thinks. No way can be quicker than the greater of both.
"""
import argparse, json, math, os, re, statistics, subprocess, sys, tempfile

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "../bins/tests/clients"))
sys.dont_write_bytecode = True
import page

CONNECTIONS = 6
# What jostle-server says in front of each resource, about.
HEAD_BYTES = 250
# Of 1500 bytes of a packet 1448 are the stream's: IP and TCP headers with time stamps.
OVERHEAD = 1500 / 1448

options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
options.add_argument("--profile", default="webpagetest-3g")
options.add_argument("--runs", type=int, default=5)
options.add_argument("--programs", default=os.path.join(here, "../target/release"))
options.add_argument("--chromium", default="chromium")
options = options.parse_args()
program = lambda name: os.path.join(options.programs, name)


class Started:
    """A program of ours that says as JSON where it listens."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        for line in self.process.stdout:
            told = json.loads(line)
            if told.get("event") == "listening":
                self.address = told["address"].split("://")[-1]
                return
        raise SystemExit(f"{command}: it does not listen")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()


def arithmetic(total):
    """The least seconds for the bytes, and for the round trips."""
    with open(os.path.join(here, f"../configs/profiles/{options.profile}.json")) as file:
        profile = json.load(file)
    rates, delays = {}, {}
    for way in ["both", "up", "down"]:
        for rule in profile.get(way, []):
            for one in ["up", "down"] if way == "both" else [way]:
                if rule["rule"] == "rate":
                    number, prefix = re.fullmatch(r"([0-9.]+)([kMG]?)bit/s", rule["limit"]).groups()
                    rates[one] = float(number) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[prefix]
                if rule["rule"] == "delay":
                    number, prefix = re.fullmatch(r"([0-9.]+)(m?)s", rule["time"]).groups()
                    delays[one] = float(number) * {"": 1, "m": 1e-3}[prefix]
    trip = sum(delays.values())
    seconds = (total + (page.RESOURCES + 1) * HEAD_BYTES) * OVERHEAD * 8 / rates["down"]
    # A handshake and the page itself; then each connection asks for its share, one after the other.
    trips = 2 + math.ceil(page.RESOURCES / CONNECTIONS)
    return trip, 2 * trip + seconds, trips * trip


with tempfile.TemporaryDirectory() as folder:
    page.make(folder)
    total = sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
    bypass = "--proxy-bypass-list=<-loopback>"
    with Started(program("jostle-server"), "http", "--root", folder, "--listen", "127.0.0.1:0", "--json") as server:
        ways = {
            "fixed route": (f"tcp://127.0.0.1:0={server.address}", lambda at: (f"http://{at}/", [])),
            "socks5": ("socks5://127.0.0.1:0", lambda at: (f"http://{server.address}/", [f"--proxy-server=socks5://{at}", bypass])),
            "http-proxy": ("http-proxy://127.0.0.1:0", lambda at: (f"http://{server.address}/", [f"--proxy-server=http://{at}", bypass])),
        }
        seconds = {way: [] for way in ways}
        for run in range(options.runs):
            for way, (listen, behind) in ways.items():
                with Started(program("jostle"), "proxy", listen, "--profile", options.profile, "--seed", str(run), "--json", "--drain", "0s") as proxy:
                    url, more = behind(proxy.address)
                    seen = page.load(options.chromium, url, folder, more)
                if seen["differ"] or seen["same"] != page.RESOURCES + 1:
                    raise SystemExit(f"{way}: not what was served: {seen}")
                seconds[way].append(seen["load_ms"] / 1000)
    trip, bytes_least, trips_least = arithmetic(total)
    print(f"{page.RESOURCES + 1} resources, {total} bytes, {options.profile}: round trip {trip * 1000:.0f} ms")
    print(f"the link's arithmetic: {bytes_least:.2f} s for the bytes, {trips_least:.2f} s for the round trips")
    fixed = statistics.median(seconds["fixed route"])
    for way, all in seconds.items():
        median = statistics.median(all)
        print(f"{way:12} median {median:.2f} s ({min(all):.2f} to {max(all):.2f}), {100 * (median / fixed - 1):+.1f} % of the fixed route")
