"""A hostile page in headless Chromium tries what a page can do to an API on loopback.

page.py CHROMIUM PORT FOLDER prints as JSON what the API had before and after, and what each attempt got.
"""
import http.server, json, os, sys, threading, urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Nothing is left in the folder of the tests.
sys.dont_write_bytecode = True
from chromium import Chromium

program, port, folder = sys.argv[1:4]

# Each attempt resolves to "nothing", or to what it got.
PAGE = b"""<!doctype html><title>hostile</title><body><script>
const api = 'http://127.0.0.1:' + new URLSearchParams(location.search).get('port');
const body = JSON.stringify({ name: 'smuggled', upstream: '127.0.0.1:9', listen: '127.0.0.1:0' });
const patient = (start) => Promise.race([new Promise(start), new Promise((done) => setTimeout(done, 3000, 'nothing'))]);
const reads = async (path, options) => {
  try {
    const answer = await fetch(api + path, options);
    // What a page may not look at has no type, no status and no text.
    if (answer.type != 'opaque') return 'read ' + answer.status + ' ' + await answer.text();
    arrived += 1;
    return 'nothing';
  } catch { return 'nothing'; }
};
let arrived = 0;
const loads = (tag, attributes) => patient((done) => {
  const one = Object.assign(document.createElement(tag), attributes);
  one.onload = () => done('loaded');
  one.onerror = () => done('nothing');
  document.body.append(one);
});
const text = { 'Content-Type': 'text/plain' }, json = { 'Content-Type': 'application/json' };
const attempts = {
  'simple GET': () => reads('/proxies'),
  'simple GET with credentials': () => reads('/proxies', { credentials: 'include' }),
  'opaque GET of a change': () => reads('/reset', { mode: 'no-cors' }),
  'opaque POST of a proxy as text': () => reads('/proxies', { method: 'POST', mode: 'no-cors', headers: text, body }),
  'opaque POST of a proxy without a type': () => reads('/proxies', { method: 'POST', mode: 'no-cors', body: new Blob([body]) }),
  'opaque POST of a change': () => reads('/proxies/1', { method: 'POST', mode: 'no-cors', headers: text, body: '{"enabled":false}' }),
  'POST of JSON, asked for first': () => reads('/proxies', { method: 'POST', headers: json, body }),
  'PATCH, asked for first': () => reads('/proxies/1', { method: 'PATCH', headers: json, body: '{"enabled":false}' }),
  'DELETE, asked for first': () => reads('/proxies/1', { method: 'DELETE' }),
  'beacon': async () => { navigator.sendBeacon(api + '/proxies', body); return 'nothing'; },
  'event source': () => patient((done) => {
    const source = new EventSource(api + '/live');
    source.onmessage = source.onopen = () => done('events');
    source.addEventListener('state', () => done('state'));
    source.onerror = () => { source.close(); done('nothing'); };
  }),
  'web socket': () => patient((done) => {
    const socket = new WebSocket(api.replace('http', 'ws') + '/live');
    socket.onopen = () => done('open');
    socket.onerror = () => done('nothing');
  }),
  'image': () => loads('img', { src: api + '/proxies' }),
  'script': () => loads('script', { src: api + '/proxies' }),
  'style': () => loads('link', { rel: 'stylesheet', href: api + '/proxies' }),
  'frame': () => patient((done) => {
    const frame = document.createElement('iframe');
    frame.onload = () => {
      try { done('read ' + frame.contentWindow.document.body.innerText); } catch { done('nothing'); }
    };
    frame.src = api + '/proxies';
    document.body.append(frame);
  }),
  'form of text': () => patient((done) => {
    const frame = document.createElement('iframe'), form = document.createElement('form'), field = document.createElement('input');
    frame.name = 'result';
    Object.assign(form, { method: 'POST', enctype: 'text/plain', action: api + '/proxies', target: 'result' });
    // The equals sign between name and value ends up inside a string.
    field.name = body.replace('}', ',"x":"');
    field.value = '"}';
    form.append(field);
    document.body.append(frame, form);
    let submitted = false;
    frame.onload = () => { if (submitted) done('nothing'); };
    setTimeout(() => { submitted = true; form.submit(); });
  }),
};
const seen = async () => {
  const results = {};
  for (const [name, attempt] of Object.entries(attempts)) results[name] = await attempt();
  return results;
};
</script>"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


def proxies():
    with urllib.request.urlopen("http://127.0.0.1:%s/proxies" % port, timeout=20) as answer:
        return answer.status, json.load(answer)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
there = server.server_address[1]
attempts, arrived = {}, []
before = proxies()[1]
options = [
    "--host-resolver-rules=MAP evil.test 127.0.0.1",
    # The browser's own walls are taken down, or they would be what is tested.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessSendPreflights",
]
with Chromium(program, folder, *options) as page:
    # A site of its own, and another port of this one.
    for host in ["evil.test", "127.0.0.1"]:
        page.call("Page.navigate", url="http://%s:%d/?port=%s" % (host, there, port))
        page.wait("document.title == 'hostile' && document.readyState == 'complete'", "the hostile page")
        for name, result in page.value("seen()").items():
            attempts["%s from %s" % (name, host)] = result
        arrived.append(page.value("arrived"))
    # Its name made to lead to the API: the page would be of the same origin.
    for path in ["/proxies", "/"]:
        page.call("Page.navigate", url="http://evil.test:%s%s" % (port, path))
        page.wait("location.port == '%s' && document.readyState == 'complete'" % port, "the answer under another name")
        text = page.value("document.body.innerText")
        attempts["a name that leads here, " + path] = "nothing" if '"status":421' in text else text
    status = page.value("fetch('/proxies', { method: 'POST', headers: { 'Content-Type': 'application/json' }, "
                        "body: '{\"name\":\"smuggled\",\"upstream\":\"127.0.0.1:9\"}' }).then((answer) => answer.status)")
    attempts["a change under a name that leads here"] = "nothing" if status == 421 else str(status)
    # The person at the browser types an address: nothing but the panel's page is for them.
    page.call("Page.navigate", url="http://127.0.0.1:%s/proxies" % port)
    page.wait("location.hostname == '127.0.0.1' && document.readyState == 'complete'", "the answer to a person")
    text = page.value("document.body.innerText")
    attempts["an address that was typed"] = "nothing" if "User agent not allowed" in text else text
    page.call("Page.navigate", url="http://127.0.0.1:%s/" % port)
    page.wait("location.pathname == '/' && document.readyState == 'complete'", "the panel")
    panel = page.value("fetch('/proxies').then((answer) => answer.status)")
honest, after = proxies()
print(json.dumps({"before": before, "after": after, "honest": honest, "panel": panel, "arrived": arrived, "attempts": attempts}))
