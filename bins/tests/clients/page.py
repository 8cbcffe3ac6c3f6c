"""A page with fifty resources, and headless Chromium that loads it.

page.py CHROMIUM URL FOLDER [OPTION…] loads the page of `make(FOLDER)` from a URL with further options of Chromium, compares what the
browser got with the files, and prints what was seen as JSON.
"""
import base64, json, os, random, shutil, sys, tempfile, time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Nothing is left in the folder of the tests.
sys.dont_write_bytecode = True
from chromium import Chromium

RESOURCES = 50
PATIENCE = 120


def make(folder):
    """Writes the page: `index.html` and its resources, of 200 bytes to 20 kB, the same ones each time."""
    draw = random.Random(7)
    tags = []
    for number in range(RESOURCES):
        kind = ["js", "css", "svg"][number % 3]
        letters = "".join(draw.choices("0123456789abcdef", k=draw.randrange(200, 20_000)))
        text = {"js": f"/* {letters} */ window.ran = (window.ran ?? 0) + 1;", "css": f"/* {letters} */",
                "svg": f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><desc>{letters}</desc></svg>'}[kind]
        with open(os.path.join(folder, f"{number}.{kind}"), "w") as file:
            file.write(text)
        tags.append({"js": f'<script src="{number}.js" defer></script>', "css": f'<link rel="stylesheet" href="{number}.css">',
                     "svg": f'<img src="{number}.svg" alt="">'}[kind])
    with open(os.path.join(folder, "index.html"), "w") as file:
        file.write("<!doctype html><title>fifty</title><link rel=icon href=data:,>" + "".join(tags))


def load(chromium, url, folder, options):
    """Loads it; returns how many resources came, which differ, and the milliseconds from the request to the load event."""
    profile = tempfile.mkdtemp()
    try:
        return seen_by(chromium, profile, url, folder, options)
    finally:
        # Some process of the browser may still be writing there.
        shutil.rmtree(profile, ignore_errors=True)


def seen_by(chromium, profile, url, folder, options):
    with Chromium(chromium, profile, *options) as page:
        page.call("Network.enable")
        page.call("Page.navigate", url=url)
        until = time.monotonic() + PATIENCE
        while not page.value("performance.getEntriesByType('navigation')[0]?.loadEventEnd > 0 && document.title == 'fifty'"):
            if time.monotonic() > until:
                raise SystemExit(f"the page does not load: {page.value('document.body?.innerText')}")
            time.sleep(0.05)
        timing = page.value("performance.getEntriesByType('navigation')[0].toJSON()")
        ran = page.value("window.ran")
        asked = {event["params"]["requestId"]: event["params"]["request"]["url"]
                 for event in page.events if event.get("method") == "Network.requestWillBeSent"}
        same, differ = [], []
        for request, address in asked.items():
            name = address.removeprefix(url) or "index.html"
            if address.startswith("data:"):
                continue
            got = page.call("Network.getResponseBody", requestId=request)
            body = base64.b64decode(got["body"]) if got["base64Encoded"] else got["body"].encode()
            with open(os.path.join(folder, name), "rb") as file:
                (same if body == file.read() else differ).append(name)
    return {"same": len(same), "differ": differ, "ran": ran, "load_ms": timing["loadEventEnd"] - timing["startTime"]}


if __name__ == "__main__":
    chromium, url, folder, *options = sys.argv[1:]
    print(json.dumps(load(chromium, url, folder, options)))
