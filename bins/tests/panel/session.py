"""Uses the panel as a person would while datagrams pass, and prints what was seen as JSON.

session.py PROGRAMS FOLDER [AXE]: the folder of the programs, a folder for files, axe-core's script. Pictures go to the folder.
"""
import json, os, socket, subprocess, sys, tempfile, time, urllib.request

from person import CONTROL, SHIFT, Person

programs, folder = sys.argv[1:3]
axe = sys.argv[3] if len(sys.argv) > 3 else None
program = lambda name: os.path.join(programs, name)
PATIENCE = 30
seen = {}


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Started:
    """A program that prints JSON, and ends with the block."""

    def __init__(self, *command, output=subprocess.PIPE):
        self.process = subprocess.Popen(command, stdout=output, text=True, stdin=subprocess.DEVNULL)

    def line(self, event):
        for text in self.process.stdout:
            told = json.loads(text)
            if told.get("event") == event:
                return told
        raise SystemExit(f"{self.process.args}: no {event}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def proxy():
    """The proxy with its panel, at the same addresses each time."""
    started = Started(program("jostle"), "proxy", "--config", config, f"--panel=127.0.0.1:{port}", "--json", "--drain", "0s")
    started.line("panel")
    return started


def api(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read() or b"null")


def until(check, what):
    end = time.monotonic() + PATIENCE
    while not (found := check()):
        if time.monotonic() > end:
            raise SystemExit(f"never came: {what}; the page says: {page.value('document.body.innerText')}")
        time.sleep(0.05)
    return found


profile = lambda: api("GET", "/proxies/ping/profile")
rules = lambda way: profile().get("both", []) + profile().get(way, [])
rule = lambda way, kind: next((one for one in rules(way) if one["rule"] == kind), None)
series = lambda chart: page.value(f"import('/panel/charts.js').then((charts) => charts.series('{chart}', 'ping'))")
row = lambda kind, way="up": f".row[data-way={way}][data-kind={kind}]"
lost = lambda: sum(sum(second["proxies"].get("ping", {}).get("up", {}).get("discarded", {}).values()) for second in page.value("import('/panel/store.js').then(({ store }) => store.history)"))


def judge(look):
    """What axe-core finds that is serious."""
    if axe is None:
        return None
    page.call("Runtime.evaluate", expression=open(axe, encoding="utf-8").read())
    found = page.value("axe.run().then(({ violations }) => violations.filter(({ impact }) => ['serious', 'critical'].includes(impact)).map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 160))]))")
    return [[look, *one] for one in found]


with Started(program("jostle-server"), "ping", "--listen", "127.0.0.1:0", "--json") as server:
    upstream = server.line("listening")["address"].removeprefix("udp://")
    listen, port = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
    base, config = f"http://127.0.0.1:{port}", os.path.join(folder, "proxies.json")
    quiet = {"listen": "tcp://127.0.0.1:0", "upstream": "127.0.0.1:9"}
    with open(config, "w") as file:
        json.dump({"seed": 7, "proxies": [{"name": "ping", "listen": f"udp://127.0.0.1:{listen}", "upstream": upstream},
                                          {**quiet, "name": "web", "profile": "webpagetest-3g"}, {**quiet, "name": "raw <b>&amp;", "tcp": "raw"}]}, file)
    running = proxy()
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile_folder, Person("chromium", profile_folder) as page:
            page.open(base + "/#ping")
            seen["tabs"] = page.value("Array.from(document.querySelectorAll('[role=tab] .name'), (name) => name.textContent)")

            with open(os.path.join(os.path.dirname(__file__), "checks.js"), encoding="utf-8") as checks:
                seen["checks"] = page.value(checks.read())

            # A preset, by its name and by the keyboard.
            page.key("p")
            page.wait("document.querySelectorAll('#preset-list li').length > 90", "the networks")
            page.type("devtools-3g")
            page.key("Enter")
            until(lambda: rule("up", "rate"), "the preset's rules")
            seen["preset"] = [profile(), json.load(open(os.path.join(os.path.dirname(__file__), "../../../configs/profiles/devtools-3g.json")))]
            page.key("z", CONTROL)
            until(lambda: rule("up", "rate") is None, "its end")

            # Loss to 20 %, one way, while datagrams pass.
            page.click("#linked")
            # It prints more than a pipe holds.
            answers = open(os.path.join(folder, "ping.jsonl"), "w+")
            client = Started(program("jostle-client"), "ping", f"127.0.0.1:{listen}", "--interval", "4ms", "--deadline", "7s", "--json", output=answers)
            until(lambda: (series("rate")[1] or [0])[-1], "datagrams in the chart")
            scale = page.value("import('/panel/units.js').then(({ SHARE }) => SHARE.scale)")
            page.drag(row("drop") + " input[type=range]", scale.index(0.2))
            until(lambda: rule("up", "drop") == {"rule": "drop", "chance": "20%"}, "20 % loss")
            began = page.value("import('/panel/store.js').then(({ store }) => store.history.at(-1).t)")
            until(lambda: page.value(f"document.querySelector('{row('drop')}').classList.contains('hit')"), "a lit lamp")
            seen["down"] = rule("down", "drop")
            until(lambda: page.value("import('/panel/store.js').then(({ store }) => store.history.at(-1).t)") > began + 3.5, "some seconds")
            # The first second has some datagrams of before.
            seconds = page.value("""Promise.all([import("/panel/charts.js"), import("/panel/store.js")]).then(([charts, { store }]) => {
                const [times, up] = charts.series("loss", "ping");
                return store.history.slice(-times.length).map((second, index) => [second.t, up[index], second.proxies.ping?.up.packets_in ?? 0]);
            })""")
            seen["chart"] = [[share, packets] for t, share, packets in seconds if t > began + 1.2 and packets]
            page.wait("document.querySelectorAll('#feed-rows tr.lost').length > 0", "lost packets in the feed")
            page.wait("document.querySelectorAll('#flow-rows tr').length > 0", "the flow of the client")
            client.process.wait()
            answers.seek(0)
            seen["ping"] = json.loads(answers.readlines()[-1])
            # What was said of the last second of traffic comes a second later.
            until(lambda: lost() >= seen["ping"]["lost"], "the last losses")
            seen["lost"] = lost()

            # Off, on again by undoing, and both at a stroke.
            page.click("#up-drop")
            until(lambda: rule("up", "drop").get("enabled") is False, "the rule off")
            page.key("z", CONTROL)
            until(lambda: "enabled" not in rule("up", "drop"), "the rule on again")
            page.key("z", CONTROL | SHIFT)
            until(lambda: rule("up", "drop").get("enabled") is False, "the rule off once more")
            page.key("z", CONTROL)
            page.key("s")
            until(lambda: not api("GET", "/state")["rules_on"], "all rules off")
            page.wait("document.querySelector('#rules-on').getAttribute('aria-checked') == 'false'", "a switch that says so")
            page.key("s")
            until(lambda: api("GET", "/state")["rules_on"], "all rules on")
            page.key("1")
            until(lambda: rule("down", "delay"), "lag in both directions by its key")
            page.click("#linked")
            # A field takes a number with its unit, and one without.
            page.click(row("delay") + " .field")
            page.value(f"document.querySelector('{row('delay')} .field').select()")
            page.type("25")
            page.key("Enter")
            until(lambda: rule("down", "delay")["time"] == "25ms", "25 ms in both directions")
            # What is impossible is said, and changes nothing.
            page.value(f"document.querySelector('{row('delay')} .field').select()")
            page.type("2%")
            page.key("Enter")
            page.wait("!document.querySelector('#trouble').hidden", "a complaint")
            seen["complaint"] = page.text("#trouble span")
            page.click("#trouble button")
            page.click(row("delay") + " .more")
            page.click("#up-delay-jitter")
            page.type("5ms")
            page.key("Enter")
            until(lambda: rule("up", "delay").get("jitter") == "5ms", "jitter")
            seen["aside"] = [rule("up", "delay"), rule("down", "delay"), rule("up", "drop")]
            seen["axe"] = [judge("rows")]

            # What others change is seen; what they wrote stays text.
            mark = "<img src=x onerror='alert(1)'>"
            changed = profile()
            changed.setdefault("up", []).append({"rule": "size", "max": "1400B", "name": mark})
            api("PUT", "/proxies/ping/profile", changed)
            page.wait("document.querySelectorAll('#further-rules li').length == 1", "a rule from elsewhere")
            seen["hostile"] = [page.text("#further-rules code"), page.value("document.querySelectorAll('#further-rules img').length"), mark]
            # An undo takes back what was done here, not what others did.
            page.key("z", CONTROL)
            until(lambda: "jitter" not in rule("up", "delay"), "the jitter's end")
            seen["kept"] = rule("up", "size")

            # Copies of all this.
            copies = {}
            for form in ["json", "command", "curl"]:
                page.click(f"[data-copy={form}]")
                page.wait("document.querySelector('#copied').open", "a copy")
                copies[form] = page.value("document.querySelector('#copied-text').value")
                page.key("Escape")
                page.wait("!document.querySelector('#copied').open", "its end")
            seen["copies"], seen["profile"] = copies, profile()
            subprocess.run(["sh", "-c", copies["curl"]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            seen["curled"] = profile()

            # By hand it is removed, under its switch. Then the page as it looks while datagrams pass.
            page.click("#further-rules .editor summary")
            page.click("#further-rules .editor .buttons button:last-child")
            until(lambda: rule("up", "size") is None, "its end")
            page.click(row("delay") + " .more")
            page.value("document.activeElement.blur()")
            with Started(program("jostle-client"), "ping", f"127.0.0.1:{listen}", "--interval", "4ms", "--deadline", "20s", "--size", "400", output=subprocess.DEVNULL):
                page.wait("import('/panel/charts.js').then((charts) => charts.series('delay', 'ping')[1].filter((value) => value > 20).length > 3)", "delays in the chart")
                pictures, cut = {}, {"names": 0, "flows": 0}
                for width, scheme in [(390, "light"), (390, "dark"), (640, "light"), (1920, "light"), (1920, "dark"), (1280, "dark"), (1280, "light")]:
                    page.look(width, scheme)
                    page.wait(f"innerWidth == {width}", "another width")
                    time.sleep(0.2)
                    height = page.value("document.documentElement.scrollHeight")
                    page.picture(os.path.join(folder, f"panel-{width}-{scheme}.png"), captureBeyondViewport=True, clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
                    pictures[f"{width}-{scheme}"] = page.value("document.documentElement.scrollWidth")
                    page.wait("document.querySelectorAll('#flow-rows tr').length > 0", "the flow of the client")
                    cut["names"] += page.value("[...document.querySelectorAll('.title')].filter((one) => one.scrollWidth > one.clientWidth).length")
                    if width >= 1280:
                        cut["flows"] += page.value("(({ scrollWidth, clientWidth }) => Math.max(0, scrollWidth - clientWidth))(document.querySelector('#flows .scroll'))")
                seen["widths"], seen["cut"] = pictures, cut

            # Other tabs, by the arrow keys, and what cannot act there.
            page.click("[role=tab][aria-selected=true]")
            page.key("ArrowRight")
            page.wait("document.querySelector('#route-name').textContent == 'raw <b>&amp;'", "the next tab")
            seen["raw"] = page.value(f"document.querySelector('{row('reset')} input').disabled")
            page.key("ArrowRight")
            page.wait("document.querySelector('#route-name').textContent == 'web'", "the last tab")
            seen["web"] = page.value(f"document.querySelector('{row('rate')} .field').value")
            page.key("ArrowRight")
            page.wait("document.querySelector('#route-name').textContent == 'ping'", "the first tab again")
            seen["udp"] = page.value(f"document.querySelector('{row('reset')} input').disabled")

            # A name as long as names may be leaves room for the others.
            long = "n" * 255
            api("POST", "/proxies", {"name": long, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"})
            page.wait(f"document.querySelector('[data-key={long}]')", "a tab with a long name")
            seen["long"] = page.value(f"(({{ offsetWidth, title }}) => [offsetWidth, title.length])(document.querySelector('[data-key={long}]'))")
            api("DELETE", f"/proxies/{long}")
            page.wait(f"!document.querySelector('[data-key={long}]')", "its end")

            # A proxy comes and goes.
            page.click("#add")
            page.click("#add-name")
            page.type("new")
            page.click("#add-upstream")
            page.type("127.0.0.1:9")
            seen["axe"] += [judge("adding")]
            page.key("Enter")
            page.wait("document.querySelector('#route-name').textContent == 'new'", "the new proxy's tab")
            page.click("#remove")
            page.click("#remove-sure")
            page.wait("!document.querySelector('[data-key=new]')", "the end of its tab")
            page.key("p")
            page.wait("document.querySelectorAll('#preset-list li').length > 90", "the networks again")
            seen["axe"] += [judge("presets")]
            page.key("Escape")

            # A reload finds everything as it was, the last minutes too.
            before = page.value("import('/panel/store.js').then(({ store }) => store.history[0].t)")
            page.open(base + "/#ping")
            page.wait("import('/panel/store.js').then(({ store }) => store.history.length > 5)", "the last minutes")
            seen["reloaded"] = [page.value("import('/panel/store.js').then(({ store }) => store.history[0].t)"), before, page.value(f"document.querySelector('{row('drop')} .field').value")]
            page.look(390, "dark")
            seen["axe"] += [judge("small and dark")]
            page.look(1280, "light")
            seen["console"], asked = page.told()
            seen["elsewhere"] = [url for url in asked if not url.startswith((base + "/", "about:", "data:"))]
            seen["asked"] = len(asked)

            # The proxy goes, and comes again.
            running.__exit__()
            page.wait("!document.querySelector('#lost').hidden", "that the connection is lost")
            seen["gone"] = [page.text("#lost"), page.value(f"document.querySelector('{row('drop')} .field').value")]
            running = proxy()
            page.wait("document.querySelector('#lost').hidden && !document.body.classList.contains('offline')", "another connection")
            page.wait(f"!document.querySelector('{row('drop')}').classList.contains('on')", "the new run's rules")
    finally:
        running.__exit__()
print(json.dumps(seen))
