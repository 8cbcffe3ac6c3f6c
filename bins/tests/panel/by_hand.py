"""Changes the weather twenty times through the panel's own controls, with datagrams between the changes, and prints what was set.

by_hand.py PROGRAMS FOLDER: the folder of the programs, a folder for files. The proxy leaves its journal and its events there. No datagram
is under way while something is changed, so which rules each one meets hangs on nobody's speed.
"""
import json, os, re, socket, subprocess, sys, threading, time, urllib.request

from person import CONTROL, Person

programs, folder = sys.argv[1:3]
program = lambda name: os.path.join(programs, name)
at = lambda name: os.path.join(folder, name)
PATIENCE = 60
DATAGRAMS = 24


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def ask(path):
    with urllib.request.urlopen(base + path) as answer:
        return answer.read().decode()


state = lambda: json.loads(ask("/state"))


def until(check, what):
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        if time.monotonic() > end:
            raise SystemExit(f"never came: {what}; {state()}; {ask('/metrics')}")
        time.sleep(0.02)
    return found


def rule(way, key):
    """A rule of the proxy by its kind, or by its kind and ordinal."""
    kind, _, ordinal = key.partition("#")
    profile = state()["proxies"][0]["profile"]
    found = [one for one in profile.get("both", []) + profile.get(way, []) if one["rule"] == kind]
    place = int(ordinal or 1) - 1
    return found[place] if place < len(found) else None


def figures():
    """What has come in, gone out and is held, by direction."""
    found = {}
    for name, labels, value in re.findall(r"^jostle_(packets_received_total|packets_total|held_packets)\{(.*)\} (\d+)", ask("/metrics"), re.M):
        if name == "packets_total" and 'fate="delivered"' not in labels:
            continue
        way = re.search('direction="(up|down)"', labels).group(1)
        found[name, way] = found.get((name, way), 0) + int(value)
    return lambda name, way: found.get((name, way), 0)


def settled():
    now = figures()
    received = now("packets_received_total", "up") == sent and now("packets_received_total", "down") == now("packets_total", "up")
    return received and not now("held_packets", "up") and not now("held_packets", "down")


def traffic():
    """Datagrams to the server and back, until the fate of each is known."""
    global sent
    for number in range(DATAGRAMS):
        client.send(bytes(40 + (sent * 37) % 900))
        sent += 1
    until(settled, f"the fates of {sent} datagrams")


def echo():
    while True:
        data, sender = server.recvfrom(2000)
        server.sendto(data, sender)


sent = 0
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 0))
threading.Thread(target=echo, daemon=True).start()
port, listen = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
base = f"http://127.0.0.1:{port}"
with open(at("by-hand.json"), "w") as file:
    entry = {"name": "game", "listen": f"udp://127.0.0.1:{listen}", "upstream": "127.0.0.1:%d" % server.getsockname()[1]}
    json.dump({"seed": 7, "proxies": [entry]}, file)
proxy = subprocess.Popen(
    [program("jostle"), "proxy", "--config", at("by-hand.json"), f"--panel=127.0.0.1:{port}", "--json", "--journal", at("journal.jsonl"),
     "--events", at("events.jsonl")], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
try:
    for line in proxy.stdout:
        if json.loads(line).get("event") == "panel":
            break
    threading.Thread(target=proxy.stdout.read, daemon=True).start()
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.connect(("127.0.0.1", listen))
    row = lambda kind, way="up": f".row[data-way={way}][data-kind={kind}]"
    with Person("chromium", at("chromium")) as page:
        page.open(base + "/#game")
        page.wait("document.querySelector('#route-name').textContent == 'game'", "the route")

        def write(selector, text):
            page.click(selector)
            page.value(f"document.querySelector({json.dumps(selector)}).select()")
            page.type(text)
            page.key("Enter")

        def slide(kind, quantity, value):
            scale = page.value(f"import('/panel/units.js').then(({{ {quantity} }}) => {quantity}.scale)")
            page.drag(row(kind) + " input[type=range]", scale.index(value))

        def choose(name):
            page.key("p")
            page.wait("document.querySelectorAll('#preset-list li').length > 90", "the networks")
            page.type(name)
            page.key("Enter")

        def take_profile(text):
            page.value("document.querySelector('#json').open = true")
            page.value(f"document.querySelector('#profile-json').value = {json.dumps(text)}")
            page.click("#profile-apply")

        def add_rule(kind, way):
            page.value(f"document.querySelector('#new-kind').value = '{kind}'; document.querySelector('#new-way').value = '{way}'")
            page.click("#new-rule")

        def more(kind, field, text):
            page.click(row(kind) + " .more")
            write(f"#up-{kind}-{field}", text)
            page.click(row(kind) + " .more")

        off = lambda way, key: (rule(way, key) or {}).get("enabled") is False
        has = lambda way, key, field, value: (rule(way, key) or {}).get(field) == value
        by_key = '{ "up": [ { "rule": "drop", "every": 6 }, { "rule": "drop", "chance": "25%" } ], "down": [ { "rule": "delay", "time": "2ms" } ] }'
        CHANGES = [
            ("drop on, both ways", lambda: page.click("#up-drop"), lambda: rule("up", "drop") and rule("down", "drop")),
            ("drop dragged", lambda: slide("drop", "SHARE", 0.2), lambda: has("up", "drop", "chance", "20%")),
            ("drop typed", lambda: write(row("drop") + " .field", "35"), lambda: has("down", "drop", "chance", "35%")),
            ("drop in bursts", lambda: more("drop", "length", "3"), lambda: "burst" in (rule("up", "drop") or {})),
            ("lag by its key", lambda: page.key("1"), lambda: rule("down", "delay")),
            ("lag typed", lambda: write(row("delay") + " .field", "3ms"), lambda: has("up", "delay", "time", "3ms")),
            ("jitter", lambda: more("delay", "jitter", "2ms"), lambda: has("down", "delay", "jitter", "2ms")),
            ("all off", lambda: page.key("s"), lambda: not state()["rules_on"]),
            ("all on", lambda: page.key("s"), lambda: state()["rules_on"]),
            ("drop off, up alone", lambda: (page.click("#linked"), page.click("#up-drop")), lambda: off("up", "drop") and not off("down", "drop")),
            ("duplicate dragged", lambda: slide("duplicate", "SHARE", 0.3), lambda: has("up", "duplicate", "chance", "30%")),
            ("tamper", lambda: page.click("#up-corrupt"), lambda: rule("up", "corrupt")),
            ("tamper undone", lambda: page.key("z", CONTROL), lambda: not rule("up", "corrupt")),
            ("out of order", lambda: page.click("#down-reorder"), lambda: rule("down", "reorder")),
            ("a network", lambda: choose("voip-textbook-bursts"), lambda: rule("up", "drop") and not rule("up", "duplicate")),
            ("the network undone", lambda: page.key("u"), lambda: rule("up", "duplicate")),
            ("bandwidth", lambda: page.click("#up-rate"), lambda: rule("up", "rate")),
            ("a profile as JSON", lambda: take_profile(by_key), lambda: has("up", "drop", "every", 6)),
            ("a further rule", lambda: add_rule("drop", "up"), lambda: has("up", "drop#3", "every", 10)),
            ("a further rule removed", lambda: (page.click("#further-rules .editor summary"), page.click("#further-rules .editor .buttons button:last-child")),
             lambda: not rule("up", "drop#3")),
        ]
        traffic()
        for number, (what, act, seen) in enumerate(CHANGES, 1):
            page.value("document.activeElement.blur()")
            act()
            until(seen, f"change {number}, {what}")
            # The page has been told too, so the next change builds on this one.
            now = state()
            known = f"game.local === null && game.revision >= {now['proxies'][0]['revision']} && store.rulesOn === {json.dumps(now['rules_on'])}"
            page.wait(f"import('/panel/store.js').then(({{ store }}) => {{ const game = store.proxies.get('game'); return {known}; }})", what)
            traffic()
        console, asked = page.told()
    print(json.dumps({"changes": len(CHANGES), "sent": sent, "console": console}))
finally:
    proxy.terminate()
    proxy.wait()
