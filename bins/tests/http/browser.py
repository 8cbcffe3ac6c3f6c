"""Drives headless Chromium over its debugging pipe: follows a link, plays an MP3, uploads through the page, takes pictures.

browser.py CHROMIUM BASE-URL FILE FOLDER prints what was seen as JSON.
"""
import json, os, sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Nothing is left in the folder of the tests.
sys.dont_write_bytecode = True
from chromium import Chromium

program, base, upload, folder = sys.argv[1:5]
seen = {}
with Chromium(program, folder) as page:
    call, value, wait = page.call, page.value, page.wait
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
    page.picture(os.path.join(folder, "upload.png"))

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
