"""Drives headless Chromium over its debugging pipe: follows a link, plays an MP3, uploads through the page, takes pictures.

browser.py CHROMIUM BASE-URL FILE FOLDER prints what was seen as JSON.
"""
import base64, fcntl, json, os, subprocess, sys, time

program, base, upload, folder = sys.argv[1:5]
# The browser reads from descriptor 3 and writes to 4; ours stay out of the way.
high = lambda fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20)
(asks, ask), (tells, tell) = [tuple(high(fd) for fd in os.pipe()) for _ in range(2)]
browser = subprocess.Popen(
    [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
     "--no-first-run", "--mute-audio", "--autoplay-policy=no-user-gesture-required", "--remote-debugging-pipe",
     "--window-size=800,600", "--user-data-dir=" + os.path.join(folder, "profile"), "about:blank"],
    close_fds=False, preexec_fn=lambda: (os.dup2(asks, 3), os.dup2(tell, 4)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
os.close(asks), os.close(tell)
number, pending, session = 0, b"", None


def call(method, **parameters):
    global number, pending
    number += 1
    message = {"id": number, "method": method, "params": parameters}
    if session:
        message["sessionId"] = session
    os.write(ask, json.dumps(message).encode() + b"\0")
    while True:
        while b"\0" not in pending:
            piece = os.read(tells, 1 << 20)
            if not piece:
                raise SystemExit("the browser has gone")
            pending += piece
        answer, pending = pending.split(b"\0", 1)
        answer = json.loads(answer)
        if answer.get("id") == number:
            if "error" in answer:
                raise SystemExit(f"{method}: {answer['error']}")
            return answer["result"]


def value(expression):
    result = call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
    if "exceptionDetails" in result:
        return None
    return result["result"].get("value")


def wait(expression, what):
    until = time.monotonic() + 30
    while not value(f"!!({expression})"):
        if time.monotonic() > until:
            raise SystemExit(f"never came: {what}; the page says: {value('document.body.innerText')}")
        time.sleep(0.05)


def picture(name):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(base64.b64decode(call("Page.captureScreenshot", format="png")["data"]))


seen = {}
try:
    target = call("Target.createTarget", url="about:blank")["targetId"]
    session = call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    call("Page.enable")
    call("Page.navigate", url=base + "/")
    wait("document.readyState == 'complete' && document.querySelector('a')", "the first page")
    seen["first"] = value("document.title")
    value("document.querySelector('a').click()")
    wait("document.title == 'Second' && document.readyState == 'complete'", "the page behind the link")
    wait("document.querySelector('audio').readyState >= 2", "music")
    seen["duration"] = value("document.querySelector('audio').duration")
    value("document.querySelector('audio').play().then(() => true)")
    wait("document.querySelector('audio').currentTime > 0.2", "the sound of it")
    value("document.querySelector('audio').currentTime = document.querySelector('audio').duration - 2")
    wait("!document.querySelector('audio').seeking && document.querySelector('audio').readyState >= 2", "its end")
    seen["fetched"] = value("fetch('/tune.mp3').then((answer) => answer.arrayBuffer()).then((bytes) => bytes.byteLength)")

    call("Page.navigate", url=base + "/_jostle/upload")
    wait("document.readyState == 'complete' && document.getElementById('files')", "the upload page")
    node = call("DOM.querySelector", nodeId=call("DOM.getDocument")["root"]["nodeId"], selector="#files")["nodeId"]
    call("DOM.setFileInputFiles", nodeId=node, files=[upload, upload])
    value("document.getElementById('send').click()")
    wait("document.querySelectorAll('.sent.good, .sent.bad').length == 2", "two uploads")
    seen["states"] = value("Array.from(document.querySelectorAll('.sent .state'), (state) => state.textContent)")
    seen["notes"] = value("Array.from(document.querySelectorAll('.sent .note'), (note) => note.textContent)")
    picture("upload.png")

    # As without the script: the form itself.
    call("Page.navigate", url=base + "/_jostle/upload")
    wait("document.readyState == 'complete' && document.getElementById('files') && !document.querySelector('.sent')", "the page again")
    node = call("DOM.querySelector", nodeId=call("DOM.getDocument")["root"]["nodeId"], selector="#files")["nodeId"]
    call("DOM.setFileInputFiles", nodeId=node, files=[upload])
    value("document.getElementById('form').submit()")
    wait("document.readyState == 'complete' && document.querySelector('h1')?.textContent == 'Stored'", "the answer to the form")
    seen["form"] = value("document.querySelector('li b').textContent")

    # A page of another origin: an opaque one.
    call("Page.navigate", url="data:text/html,<title>elsewhere</title>")
    wait("document.title == 'elsewhere'", "a page of nobody")
    value(f"fetch('{base}/', {{ method: 'POST', mode: 'no-cors', body: 'smuggled' }}).then(() => true)")
    print(json.dumps(seen))
finally:
    browser.terminate()
    browser.wait()
