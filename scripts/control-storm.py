#!/usr/bin/env python3
"""A storm on the control API: control-storm.py [JOSTLE] (unless stated target/release/jostle).

redis-benchmark, pgbench and curl run through proxies while 8 clients add, change and remove 1,000 toxics of latency and bandwidth;
beside them stand a client that stopped reading and an upstream that never answers its connect. Then 100,000 calls, and 2,000 proxies
made and deleted. Prints figures, and ends with 1 when one of them is not as promised. Needs redis, postgresql and curl (Debian:
redis-server redis-tools postgresql postgresql-contrib curl). CALLS=… and PROXIES=… in the environment change the numbers.
"""
import glob, hashlib, http.client, http.server, json, os, shutil, socket, subprocess, sys, tempfile, threading, time

CLIENTS, TOXICS = 8, int(os.environ.get("TOXICS", 1000))
CALLS, PROXIES = int(os.environ.get("CALLS", 100_000)), int(os.environ.get("PROXIES", 2000))
jostle = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "../target/release/jostle"))
failures, ended, started = [], [], time.monotonic()


def figure(name, value, holds=True):
    print("%-58s %s%s" % (name, value, "" if holds else "   NOT AS PROMISED"), flush=True)
    if not holds:
        failures.append(name)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def start(command, **options):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    ended.append(process)
    return process


def wait_for(port):
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit("nothing listens on port %d" % port)


class Api:
    """A client with a connection of its own; it notes how long each call took."""

    def __init__(self, port):
        self.connection, self.times = http.client.HTTPConnection("127.0.0.1", port, timeout=60), []

    def call(self, method, path, body=None, status=None):
        began = time.monotonic()
        self.connection.request(method, path, None if body is None else json.dumps(body))
        answer = self.connection.getresponse()
        text = answer.read()
        took = time.monotonic() - began
        self.times.append(took)
        if took > 1:
            print("slow: %s %s took %.1f s, from %.1f s on" % (method, path, took, began - started), file=sys.stderr, flush=True)
        if status and answer.status != status:
            failures.append("%s %s: %d %r" % (method, path, answer.status, text))
        return json.loads(text) if text and answer.status < 300 else None

    def create(self, name, upstream):
        listen = self.call("POST", "/proxies", {"name": name, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:%d" % upstream}, 201)["listen"]
        return int(listen.rsplit(":", 1)[1])


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def status(pid, name):
    with open("/proc/%d/status" % pid) as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


def storm(port, client, names):
    api = Api(port)
    for n in range(client, TOXICS, CLIENTS):
        proxy, name = names[n % len(names)], "t%d" % n
        kind, first, then = [("latency", {"latency": 3, "jitter": 2}, {"latency": 1}),
                             ("bandwidth", {"rate": 50_000}, {"rate": 100_000})][n % 2]
        stream = ["upstream", "downstream"][n // 2 % 2]
        api.call("POST", "/proxies/%s/toxics" % proxy, {"name": name, "type": kind, "stream": stream, "attributes": first}, 200)
        api.call("POST", "/proxies/%s/toxics/%s" % (proxy, name), {"attributes": then, "toxicity": [1, 0.5][n % 3 == 0]}, 200)
        api.call("GET", "/proxies/%s" % proxy, None, 200)
        api.call("DELETE", "/proxies/%s/toxics/%s" % (proxy, name), None, 204)
    return api.times


class Page(http.server.BaseHTTPRequestHandler):
    data = os.urandom(1 << 20)
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)

    def log_message(self, *_):
        pass


def flood(listener):
    stream = listener.accept()[0]
    try:
        while True:
            stream.sendall(bytes(65536))
    except OSError:
        pass


def main(folder):
    # The servers.
    redis, postgres = free_port(), free_port()
    start(["redis-server", "--port", str(redis), "--bind", "127.0.0.1", "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
    tools = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
    # PostgreSQL does not run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    database = os.path.join(folder, "database")
    os.mkdir(database)
    if as_user:
        shutil.chown(database, "postgres")
        os.chmod(folder, 0o755)
    subprocess.run(as_user + [tools + "/initdb", "-D", database, "-A", "trust", "-U", "bench"], check=True, stdout=subprocess.DEVNULL, cwd="/")
    start(as_user + [tools + "/postgres", "-D", database, "-p", str(postgres), "-h", "127.0.0.1", "-k", ""], stderr=subprocess.DEVNULL, cwd="/")
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    flooding = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=flood, args=(flooding,), daemon=True).start()
    # Its queue is full, so it answers no further connect.
    hanging = socket.socket()
    hanging.bind(("127.0.0.1", 0))
    hanging.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(hanging.getsockname())

    proxy = start([jostle, "proxy", "--json", "--api=127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    for line in proxy.stdout:
        event = json.loads(line)
        if event["event"] == "api":
            break
    threading.Thread(target=lambda: [None for _ in proxy.stdout], daemon=True).start()
    port = int(event["address"].rsplit(":", 1)[1])
    api = Api(port)
    wait_for(redis), wait_for(postgres)
    ports = {"redis": api.create("redis", redis), "postgres": api.create("postgres", postgres),
             "pages": api.create("pages", pages.server_address[1]), "flood": api.create("flood", flooding.getsockname()[1]),
             "hang": api.create("hang", hanging.getsockname()[1])}
    # One client reads nothing, one waits for an upstream that is silent.
    deaf = socket.create_connection(("127.0.0.1", ports["flood"]))
    mute = socket.create_connection(("127.0.0.1", ports["hang"]))
    login = ["-h", "127.0.0.1", "-p", str(ports["postgres"]), "-U", "bench"]
    subprocess.run(["pgbench", "-q", "-i", *login, "postgres"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    # The traffic, until the storm is over.
    over, counts = threading.Event(), {"redis": 0, "pages": 0, "pgbench": 0}
    expected = hashlib.sha256(Page.data).hexdigest()

    def again(name, once):
        while not over.is_set():
            if not once():
                failures.append(name + " failed")
                return
            counts[name] += 1

    def redis_once():
        run = subprocess.run(["redis-benchmark", "-p", str(ports["redis"]), "-n", "5000", "-c", "20", "-q", "-t", "set,get,lpush"],
                             capture_output=True, text=True, timeout=120)
        return run.returncode == 0 and "rror" not in run.stdout + run.stderr

    def curl_once():
        run = subprocess.run(["curl", "-sS", "--max-time", "60", "http://127.0.0.1:%d/" % ports["pages"]], capture_output=True)
        if run.returncode:
            print("curl: status %d after %d bytes: %s" % (run.returncode, len(run.stdout), run.stderr.decode()), file=sys.stderr)
        return run.returncode == 0 and hashlib.sha256(run.stdout).hexdigest() == expected

    def pgbench_once():
        run = subprocess.run(["pgbench", "-n", "-c", "4", "-T", "2", *login, "postgres"], capture_output=True, text=True, timeout=120)
        return run.returncode == 0 and "failed transactions: 0" in run.stdout.replace("number of ", "")

    traffic = [threading.Thread(target=again, args=one) for one in [("redis", redis_once), ("pages", curl_once), ("pgbench", pgbench_once)]]
    [one.start() for one in traffic]
    began, times = time.monotonic(), []
    clients = [threading.Thread(target=lambda n=n: times.extend(storm(port, n, list(ports)))) for n in range(CLIENTS)]
    [one.start() for one in clients]
    [one.join(300) for one in clients]
    took = time.monotonic() - began
    hang = any(one.is_alive() for one in clients)
    over.set()
    [one.join(120) for one in traffic]
    hang |= any(one.is_alive() for one in traffic)
    figure("hangs", hang, not hang)
    figure("%d toxics from %d clients: calls" % (TOXICS, CLIENTS), "%d in %.1f s" % (len(times), took), len(times) == 4 * TOXICS)
    for share in 0.5, 0.99:
        figure("call, p%g" % (100 * share), "%.1f ms" % (1e3 * percentile(times, share)), percentile(times, share) < 0.05)
    figure("call, longest", "%.1f ms" % (1e3 * max(times)))
    for name, count in counts.items():
        figure("runs of %s that found every byte" % name, count, count > 0)

    # Many calls.
    def calls(count):
        one = Api(port)
        for n in range(count // 4):
            one.call("POST", "/proxies/pages/toxics", {"name": "x%d" % id(one), "type": "noop"}, 200)
            one.call("GET", "/proxies/pages", None, 200)
            one.call("GET", "/version", None, 200)
            one.call("DELETE", "/proxies/pages/toxics/x%d" % id(one), None, 204)

    calls(2000)
    before, threads = status(proxy.pid, "VmRSS"), status(proxy.pid, "Threads")
    began = time.monotonic()
    calls(CALLS)
    took = time.monotonic() - began
    grown, more = status(proxy.pid, "VmRSS") - before, status(proxy.pid, "Threads") - threads
    figure("%d calls" % CALLS, "%.1f s, %.0f a second" % (took, CALLS / took))
    figure("memory grown by", "%d KiB of %d" % (grown, before), grown < 2048)
    figure("threads grown by", more, more <= 0)

    # Many proxies.
    began = time.monotonic()
    for n in range(PROXIES):
        api.call("POST", "/proxies", {"name": "n%d" % n, "listen": "127.0.0.1:0", "upstream": "127.0.0.1:9"}, 201)
    made = time.monotonic() - began
    for n in range(PROXIES):
        api.call("DELETE", "/proxies/n%d" % n, None, 204)
    took = time.monotonic() - began
    figure("%d proxies made and deleted" % PROXIES, "%.2f s (made in %.2f s)" % (took, made), took < 5)
    deaf.close(), mute.close()
    proxy.terminate()
    figure("status at the end", proxy.wait(30), proxy.returncode == 0)


with tempfile.TemporaryDirectory() as folder:
    try:
        main(folder)
    finally:
        for process in ended:
            process.terminate()
        for process in ended:
            process.wait()
for failure in failures[:20]:
    print("FAILED:", failure, file=sys.stderr)
sys.exit(bool(failures))
