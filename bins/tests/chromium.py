"""Headless Chromium, spoken to over its debugging pipe."""
import base64, fcntl, json, os, subprocess, time


class Chromium:
    """A browser with one page. `events` has what it told unasked: console messages, requests."""

    def __init__(self, program, folder, *options):
        # The browser reads from descriptor 3 and writes to 4; ours stay out of the way.
        high = lambda fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
        (asks, self.ask), (self.tells, tell) = [tuple(high(fd) for fd in os.pipe()) for _ in range(2)]
        self.browser = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
             "--no-first-run", "--mute-audio", "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe",
             "--window-size=800,600", "--user-data-dir=" + os.path.join(folder, "profile"), *options, "about:blank"],
            close_fds=False, preexec_fn=lambda: (os.dup2(asks, 3), os.dup2(tell, 4)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(asks), os.close(tell)
        self.number, self.pending, self.session, self.events = 0, b"", None, []

    def __enter__(self):
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            self.call("Page.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.browser.terminate()
        self.browser.wait()

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.ask, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.pending:
                piece = os.read(self.tells, 1 << 20)
                if not piece:
                    raise SystemExit("the browser has gone")
                self.pending += piece
            answer, self.pending = self.pending.split(b"\0", 1)
            answer = json.loads(answer)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            return None
        return result["result"].get("value")

    def wait(self, expression, what):
        until = time.monotonic() + 30
        while not self.value(f"!!({expression})"):
            if time.monotonic() > until:
                raise SystemExit(f"never came: {what}; the page says: {self.value('document.body.innerText')}")
            time.sleep(0.05)

    def picture(self, path, **options):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png", **options)["data"]))
