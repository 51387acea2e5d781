"""Another site's page in the owner's own browser, with a real one's rules: it reaches nothing (R8)."""

from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import PLAIN_HOST
from tests.browser.conftest import GatewayStarter
from tests.support.gateway_process import TOKEN

pytestmark = pytest.mark.browser

# Everything that a page may try without asking anybody; each says how it ended.
ATTACK = """
async ([http, ws]) => {
  const ended = async (doing) => { try { return String(await doing()) } catch (error) { return "refused" } };
  const element = (name, attribute, path) => new Promise((resolve) => {
    const tried = document.createElement(name);
    tried.onload = () => resolve("loaded");
    tried.onerror = () => resolve("refused");
    tried[attribute] = http + path;
    document.body.append(tried);
  });
  const socket = (connect) => new Promise((resolve) => {
    const tried = new WebSocket(ws);
    tried.onerror = () => resolve("refused");
    tried.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.event === "connect.challenge") {
        tried.send(JSON.stringify(connect));
      } else resolve(frame.ok ? "connected" : frame.error.details.code);
    };
  });
  const client = { id: "gateway-client", version: "1", platform: "web", mode: "backend" };
  const auth = { token: "TOKEN" };
  const scopes = ["operator.admin"];
  const params = { minProtocol: 4, maxProtocol: 4, client, role: "operator", scopes, auth };
  return {
    read: await ended(async () => (await fetch(http + "/__openclaw/control-ui-config.json")).status),
    post: await ended(async () => (await fetch(http + "/tools", { method: "POST", body: "{}" })).status),
    picture: await element("img", "src", "/favicon.svg"),
    script: await element("script", "src", "/app.js"),
    socket: await socket({ type: "req", id: "1", method: "connect", params }),
  };
}
""".replace("TOKEN", TOKEN)


@contextmanager
def site() -> Generator[int, None, None]:
    """A web site that is somebody else's; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><title>Kittens</title><body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def page(browser: Browser) -> Generator[Page, None, None]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("host", [PLAIN_HOST, "localhost"], ids=["elsewhere", "another port of this machine"])
def test_another_sites_page_reads_nothing_and_connects_nowhere(
    page: Page, start_gateway: GatewayStarter, host: str
) -> None:
    gateway = start_gateway()
    with site() as port:
        page.goto(f"http://{host}:{port}/")
        there = f"127.0.0.1:{gateway.port}"
        got: dict[str, Any] = page.evaluate(ATTACK, [f"http://{there}", f"ws://{there}"])
    # A page of this machine's own may try a secret, as through a tunnel; then it is the secret that counts.
    assert got.pop("socket") == ("connected" if host == "localhost" else "CONTROL_UI_ORIGIN_NOT_ALLOWED")
    assert set(got.values()) == {"refused"}, got
    reasons = {line["reason"] for line in gateway.decisions("refused")}
    assert reasons <= {"origin-not-allowed", "cross-site-request"}
    if host == "localhost":
        assert reasons == {"origin-not-allowed", "cross-site-request"}


def test_the_gateway_is_not_shown_in_a_frame(page: Page, start_gateway: GatewayStarter) -> None:
    gateway = start_gateway()
    with site() as port:
        page.goto(f"http://localhost:{port}/")
        page.set_content(f'<iframe src="{gateway.url}"></iframe>')
        frame = page.frame_locator("iframe")
        expect(frame.get_by_role("heading", name="Connect to your gateway")).to_have_count(0)
        page.wait_for_function("frames.length === 1")
    (line,) = gateway.decisions("refused")
    assert line["reason"] == "framed"


def test_a_name_that_was_pointed_at_the_gateway_shows_the_one_command(
    page: Page, start_gateway: GatewayStarter
) -> None:
    """DNS rebinding; or the owner, at a name that he has not told the gateway of."""
    gateway = start_gateway()
    url = f"http://{PLAIN_HOST}:{gateway.port}"
    answer = page.goto(f"{url}/#token={gateway.token}")
    assert answer is not None
    assert answer.status == 421
    command = f"openclawd config set openclawd.publicOrigin {url}"
    expect(page.get_by_text(command)).to_be_visible()
    assert gateway.command(*command.split()[1:]).returncode == 0
    page.reload()
    expect(page.get_by_role("heading", name="Waiting for approval")).to_be_visible()
