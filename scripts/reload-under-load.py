#!/usr/bin/env python3
"""A thousand reloads in a minute while wrk and iperf3 -u run through the proxy: no connection is lost,
and no packet meets the rules of two configurations. Usage: scripts/reload-under-load.py [RELOADS [SECONDS]]

Needs wrk and iperf3 (scripts/install-test-programs.sh). PROGRAMS=target/debug takes programs that are built."""

import json, os, pathlib, shutil, signal, socket, subprocess, sys, tempfile, time

reloads = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60
root = pathlib.Path(__file__).resolve().parent.parent
os.chdir(root)
for program in ("wrk", "iperf3"):
    if shutil.which(program) is None:
        sys.exit(f"{program} is not installed")
if "PROGRAMS" not in os.environ:
    subprocess.run(["cargo", "build", "--quiet", "--release", "--bin", "jostle", "--bin", "jostle-server"], check=True)
programs = root / os.environ.get("PROGRAMS", "target/release")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def listens(port):
    for _ in range(200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"nothing listens on port {port}")


web, iperf, web_in, iperf_in = (free_port() for _ in range(4))


def configuration(name):
    """Rules that act at once, under names of their own, and a delay that both have."""
    rules = [{"rule": "corrupt", "name": f"{name}{n}", "chance": "40%", "where": {"offset": 100, "length": 900}} for n in (1, 2)]
    rules.append({"rule": "drop", "name": f"{name}3", "chance": "1%"})
    delay = "1ms" if name == "a" else "2ms"
    return json.dumps({"seed": 7, "proxies": [
        {"name": "web", "listen": f"tcp://127.0.0.1:{web_in}", "upstream": f"127.0.0.1:{web}",
         "profile": {"both": [{"rule": "delay", "time": delay}]}},
        {"name": "iperf", "listen": f"both://127.0.0.1:{iperf_in}", "upstream": f"127.0.0.1:{iperf}",
         "profile": {"up": rules if name else []}},
    ]})


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    (folder / "index.html").write_text("hello\n" * 20)
    background = []

    def start(*command, **more):
        child = subprocess.Popen(command, **more)
        background.append(child)
        return child

    try:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        start(programs / "jostle-server", "http", "--root", folder, "--listen", f"127.0.0.1:{web}", **quiet)
        start("iperf3", "-s", "-p", str(iperf), **quiet)
        listens(web), listens(iperf)
        config, journal, events = folder / "config.json", folder / "journal.jsonl", folder / "events.jsonl"
        config.write_text(configuration("a"))
        # What is written to a pipe is looked at as it comes.
        os.mkfifo(events)
        said = open(folder / "said", "w+")
        proxy = start(programs / "jostle", "proxy", "--json", "--config", config, "--journal", journal,
                      "--events", events, "--events-only", "route=iperf", "--drain", "2s", stdout=subprocess.PIPE, stderr=said, text=True)
        check = start(sys.executable, "-c", """
import json, sys
packets = mixed = 0
for line in open(sys.argv[1]):
    if '"protocol":"udp","direction":"up"' not in line: continue
    packets += 1
    if len({rule[0] for rule in json.loads(line)["rules"] if rule[1:].isdigit()}) > 1: mixed += 1
print(json.dumps({"packets": packets, "mixed": mixed}))
""", events, stdout=subprocess.PIPE, text=True)
        listens(web_in)
        length = str(int(seconds) + 2)
        wrk = start("wrk", "-t1", "-c50", f"-d{length}s", "--latency", f"http://127.0.0.1:{web_in}/index.html",
                    stdout=subprocess.PIPE, text=True)
        udp = start("iperf3", "-J", "-c", "127.0.0.1", "-p", str(iperf_in), "-u", "-b", "5M", "-l", "1200", "-t", length,
                    stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        begun, slowest = time.monotonic(), 0.0
        for turn in range(reloads):
            config.write_text(configuration("ab"[(turn + 1) % 2]))
            asked = time.monotonic()
            os.kill(proxy.pid, signal.SIGHUP)
            while (folder / "said").read_text().count("read ") <= turn:
                if time.monotonic() > asked + 10:
                    sys.exit(f"reload {turn + 1} does not come: {(folder / 'said').read_text()[-500:]}")
                time.sleep(0.001)
            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(max(0, begun + (turn + 1) * seconds / reloads - time.monotonic()))
        took = time.monotonic() - begun
        wrk_said, udp_said = wrk.communicate()[0], json.loads(udp.communicate()[0])
        proxy.send_signal(signal.SIGTERM)
        summary = [json.loads(line) for line in proxy.communicate()[0].splitlines()]
        checked = json.loads(check.communicate()[0])
        lines = journal.read_text().count("\n")
    finally:
        for child in background:
            if child.poll() is None:
                child.kill()

refused = (said.seek(0), said.read())[1].count("changed nothing")
up = next(one for one in summary if one.get("event") == "link" and one["route"] == "iperf" and one["protocol"] == "udp" and one["direction"] == "up")
sent = udp_said["end"]["sum"]["packets"]
errors = [line.strip() for line in wrk_said.splitlines() if "Socket errors" in line or "Non-2xx" in line]
print(f"{reloads} reloads in {took:.1f} s, the slowest took {slowest * 1000:.0f} ms; {lines} lines of journal; {refused} refused")
print(f"wrk: {next(line.strip() for line in wrk_said.splitlines() if 'requests in' in line)}; errors: {errors or 'none'}")
print(f"iperf3: {sent} datagrams sent; jostle: {up['in']} in, {up['discarded'].get('drop', 0)} dropped by rules; "
      f"{checked['packets']} in the event log, {checked['mixed']} of them under rules of two configurations")
faults = [errors, refused, checked["mixed"], lines != 2 * reloads + 2, took > seconds + 5, checked["packets"] != up["in"]]
sys.exit(1 if any(faults) else 0)
