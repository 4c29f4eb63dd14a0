"""A page in headless Chromium, over the pipe of the DevTools protocol: browser.py PAGE SCRIPT [DIRECTORY] prints a line
"WIDTH light|dark: COMPLAINTS" a size, COMPLAINTS being what SCRIPT (a function of width and dark) returns, what is wrong
with the tip of a bar that the mouse is over, and what the page said on its console. DIRECTORY gets a picture of each."""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

SIZES = [(width, dark) for width in (360, 800, 1600) for dark in (False, True)]

# A bar that shows no tip yet, and where the mouse goes.
BAR = """(() => {
  document.activeElement.blur();
  const bar = [...document.querySelectorAll(".bar[data-tip]")].find(b => b.getBoundingClientRect().width > 20);
  bar.scrollIntoView({ block: "center" });
  bar.id = "under-the-mouse";
  const box = bar.getBoundingClientRect();
  return { x: box.left + box.width / 2, y: box.top + box.height / 2, tip: bar.getAttribute("aria-label"),
    width: innerWidth, height: innerHeight };
})()"""


class Browser:
    def __init__(self, home):
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()

        def move():  # the browser reads descriptor 3 and writes 4
            read, write = os.dup(commands), os.dup(answers)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={home}", "about:blank"],
            preexec_fn=move, close_fds=False, env={**os.environ, "HOME": home}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(commands)
        os.close(answers)
        self.pending, self.number, self.console, self.events = b"", 0, [], []

    def receive(self):
        while b"\0" not in self.pending:
            data = os.read(self.answers, 1 << 16)
            if not data:
                sys.exit("browser.py: chromium ended")
            self.pending += data
        message, self.pending = self.pending.split(b"\0", 1)
        message = json.loads(message)
        method = message.get("method")
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            self.console.append(json.dumps(message["params"])[:300])
        if method:
            self.events.append(method)
        return message

    def call(self, method, session=None, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit(f"browser.py: {method}: {answer['error']}")
                return answer["result"]


def after_of(call):
    """The box of the bar's tip, as it is laid out: left, top, right, bottom; None when there is none."""
    root = call("DOM.getDocument")["root"]["nodeId"]
    bar = call("DOM.querySelector", nodeId=root, selector="#under-the-mouse")["nodeId"]
    for pseudo in call("DOM.describeNode", nodeId=bar)["node"].get("pseudoElements", []):
        if pseudo["pseudoType"] == "after":
            corners = call("DOM.getBoxModel", backendNodeId=pseudo["backendNodeId"])["model"]["border"]
            return min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])
    return None


def settled(call, wanted):
    """The tip's box once there is one, or none, as WANTED; what there is after a minute. The page moves the mouse's effects
    with its next frame, which a loaded machine draws late."""
    end = time.monotonic() + 60
    while ((box := after_of(call)) is not None) != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return box


def hover(call):
    evaluate = lambda expression: call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")
    move = lambda x, y: call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    move(1, 1)
    bar = evaluate(BAR)
    wrong = ["a bar shows its tip without the mouse"] if settled(call, False) else []
    move(bar["x"], bar["y"])
    box = settled(call, True)
    if not box:
        return [*wrong, "no tip under the mouse"]
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > bar["width"] or bottom > bar["height"] or right - left < 20 or bottom - top < 10:
        wrong.append(f"the tip under the mouse is not in the window: {box}")
    style = 'getComputedStyle(document.getElementById("under-the-mouse"), "::after")'
    text = evaluate(f"{style}.content")
    if any(line not in text for line in bar["tip"].splitlines()) or "takes" not in text:
        wrong.append(f"the tip under the mouse does not tell the times: {text}")
    if evaluate(f"{style}.visibility + {style}.opacity") != "visible1":
        wrong.append("the tip under the mouse is hidden")
    move(1, 1)
    if settled(call, False):
        wrong.append("the tip stays when the mouse has gone")
    return wrong


def examine(browser, session, page, script, width, dark, directory):
    call = lambda method, **params: browser.call(method, session, **params)
    call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500)
    call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
    browser.console, browser.events = [], []
    call("Page.navigate", url=page)
    while "Page.loadEventFired" not in browser.events:
        browser.receive()
    if directory:
        shot = call("Page.captureScreenshot", captureBeyondViewport=True)
        name = f"{width}-{'dark' if dark else 'light'}.png"
        pathlib.Path(directory, name).write_bytes(base64.b64decode(shot["data"]))
    result = call("Runtime.evaluate", expression=f"({script})({width}, {json.dumps(dark)})", returnByValue=True)
    said = result["result"].get("value", json.dumps(result)[:300])
    return "; ".join(filter(None, [said, *hover(call), *browser.console]))


def main(page, script, directory=None):
    page = pathlib.Path(page).resolve().as_uri()
    script = pathlib.Path(script).read_text()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        browser = Browser(home)
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            browser.call(f"{domain}.enable", session)
        for width, dark in SIZES:
            said = examine(browser, session, page, script, width, dark, directory)
            print(f"{width} {'dark' if dark else 'light'}: {said}", flush=True)
        browser.call("Browser.close")
        browser.process.wait()


main(*sys.argv[1:])
