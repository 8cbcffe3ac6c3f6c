"""Opens a page in headless Chromium at two widths, light and dark, and looks for what is wrong with it.

page.py CHROMIUM FILE FOLDER prints what was seen as JSON and leaves pictures in the folder.
"""
import json, os, pathlib, sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Nothing is left in the folder of the tests.
sys.dont_write_bytecode = True
from chromium import Chromium

program, file, folder = sys.argv[1:4]
address = pathlib.Path(file).resolve().as_uri()
# Texts of charts that reach beyond their picture, and pairs of texts that lie on each other. Those aslant are left out: their boxes meet
# where they do not.
CLIPPED = """Array.from(document.querySelectorAll('figure svg')).flatMap(svg => {
    const frame = svg.getBoundingClientRect();
    return Array.from(svg.querySelectorAll('text')).filter(text => {
        const box = text.getBoundingClientRect();
        return box.left < frame.left - 0.5 || box.right > frame.right + 0.5 || box.top < frame.top - 0.5 || box.bottom > frame.bottom + 0.5;
    }).map(text => text.textContent);
})"""
OVERLAPS = """Array.from(document.querySelectorAll('figure svg')).flatMap(svg => {
    const texts = Array.from(svg.querySelectorAll('text')).filter(text => text.textContent && !/rotate\\(-(?!90)/.test(text.getAttribute('transform')));
    const boxes = texts.map(text => [text.textContent, text.getBoundingClientRect()]);
    return boxes.flatMap(([a, one], index) => boxes.slice(index + 1).filter(([b, two]) =>
        one.left < two.right && two.left < one.right && one.top + 2 < two.bottom && two.top + 2 < one.bottom).map(([b]) => a + ' / ' + b));
})"""
# What is wider than the screen, unless it scrolls inside its own box.
WIDE = """Array.from(document.body.querySelectorAll('*')).filter(one => !one.closest('.wide') && !one.closest('svg')
    && one.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5).map(one => one.outerHTML.slice(0, 120))"""
LETTERS = "Math.min(...Array.from(document.querySelectorAll('figure svg text'), text => text.getBoundingClientRect().height))"
seen = {"looks": []}
with Chromium(program, folder) as page:
    for domain in ["Runtime", "Log", "Network"]:
        page.call(domain + ".enable")
    for width, scheme in [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]:
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        page.call("Page.navigate", url=address)
        page.wait(f"location.href == '{address}' && document.readyState == 'complete'", "the page")
        look = {
            "width": page.value("innerWidth"), "scroll": page.value("document.documentElement.scrollWidth"), "scheme": scheme,
            "paper": page.value("getComputedStyle(document.body).backgroundColor"),
            "charts": page.value("document.querySelectorAll('figure svg').length"), "letters": page.value(LETTERS),
            "clipped": page.value(CLIPPED), "overlaps": page.value(OVERLAPS), "wide": page.value(WIDE),
        }
        seen["looks"].append(look)
        height = page.value("document.documentElement.scrollHeight")
        page.picture(os.path.join(folder, f"page-{width}-{scheme}.png"), captureBeyondViewport=True,
                     clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
    # A sheet of A4 between its margins, printed from a dark screen.
    page.call("Emulation.setDeviceMetricsOverride", width=688, height=1017, deviceScaleFactor=1, mobile=False)
    page.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    seen["sheet"] = {
        "paper": page.value("getComputedStyle(document.body).backgroundColor"), "wide": page.value(WIDE),
        "clipped": page.value(CLIPPED), "overlaps": page.value(OVERLAPS),
        "facts": page.value("getComputedStyle(document.querySelector('dl')).gridTemplateColumns.split(' ').length"),
        "charts": page.value("getComputedStyle(document.querySelector('.charts')).gridTemplateColumns.split(' ').length"),
    }
    page.call("Emulation.setEmulatedMedia", media="", features=[])
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=900, deviceScaleFactor=1, mobile=True)
    page.value("document.querySelectorAll('details').forEach(one => one.open = true)")
    seen["opened"] = {"scroll": page.value("document.documentElement.scrollWidth"), "wide": page.value(WIDE)}
    told = [event for event in page.events if event.get("method") in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")]
    seen["console"] = [event["params"] for event in told]
    asked = [event["params"]["request"]["url"] for event in page.events if event.get("method") == "Network.requestWillBeSent"]
    seen["requests"] = [url for url in asked if url.split("#")[0] != address]
    seen["loads"] = len(asked)
    print(json.dumps(seen))
