"""Pages in a browser, offline, with what they request and complain about."""

from contextlib import contextmanager
from types import SimpleNamespace

DRAWN = "body[data-drawn=all]"
LOUD = ("error", "warning")


@contextmanager
def opening(browser):
    """Return a function that opens a page; all are closed at the end."""
    contexts = []

    def open_(file, ready=DRAWN, width=1400, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        page, requests, complaints = context.new_page(), [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type in LOUD else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message) or dialog.dismiss())
        page.goto(f"file://{file}")
        page.wait_for_selector(ready, timeout=60_000)
        return SimpleNamespace(page=page, requests=requests, complaints=complaints)

    try:
        yield open_
    finally:
        for context in contexts:
            context.close()
