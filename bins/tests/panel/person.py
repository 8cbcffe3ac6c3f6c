"""A person at the page: a mouse, a keyboard, eyes, in headless Chromium."""
import json, os, sys, time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Nothing is left in the folder of the tests.
sys.dont_write_bytecode = True
from chromium import Chromium

CONTROL, SHIFT = 2, 8
CODES = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Person(Chromium):
    def __enter__(self):
        super().__enter__()
        for domain in ["Runtime", "Log", "Network"]:
            self.call(domain + ".enable")
        self.look(1280, "light")
        return self

    def look(self, width, scheme, height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, url):
        """Loads a page anew, also if only its fragment differs."""
        self.call("Page.navigate", url="about:blank")
        self.wait("location.href == 'about:blank' && document.readyState == 'complete'", "an empty page")
        self.call("Page.navigate", url=url)
        self.wait("document.body?.classList.contains('offline') === false && document.querySelectorAll('#charts canvas').length == 5", "the panel, live")

    def box(self, selector):
        found = f"document.querySelector({json.dumps(selector)})"
        self.wait(found, selector)
        self.value(f"{found}.scrollIntoView({{ block: 'center' }})")
        return self.value(f"(({{ left, top, width, height }}) => [left, top, width, height])({found}.getBoundingClientRect())")

    def mouse(self, kind, x, y):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=int(kind != "mouseReleased"), clickCount=1)

    def click(self, selector):
        left, top, width, height = self.box(selector)
        for kind in ["mousePressed", "mouseReleased"]:
            self.mouse(kind, left + width / 2, top + height / 2)

    def drag(self, selector, step):
        """Drags the handle of a slider to one of its steps, in small moves."""
        left, top, width, height = self.box(selector)
        most = self.value(f"+document.querySelector({json.dumps(selector)}).max")
        begin = self.value(f"+document.querySelector({json.dumps(selector)}).value")
        thumb = 12
        at = lambda place: left + thumb / 2 + (width - thumb) * place / most
        self.mouse("mousePressed", at(begin), top + height / 2)
        for part in range(1, 9):
            self.mouse("mouseMoved", at(begin + (step - begin) * part / 8), top + height / 2)
            time.sleep(0.02)
        self.mouse("mouseReleased", at(step), top + height / 2)

    def key(self, key, modifiers=0):
        parameters = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": CODES.get(key, ord(key[0].upper()))}
        text = "\r" if key == "Enter" else key if len(key) == 1 and not modifiers & CONTROL else None
        self.call("Input.dispatchKeyEvent", type="keyDown", **parameters, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **parameters)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def text(self, selector):
        return self.value(f"document.querySelector({json.dumps(selector)}).textContent")

    def told(self):
        """What the console said, and what was asked of whom."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        console = [event["params"] for event in self.events if event.get("method") in kinds]
        asked = [event["params"]["request"]["url"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return console, asked
