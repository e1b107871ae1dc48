"""Takes the pictures of docs/screenshots: the demo's console in Debian's Chromium.

`make screenshots` runs it: a demo of its own, and a look at each page once there is
something to see.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from console_served import WITHIN_S, Chromium, chromium

from scoring.client.control_plane import ControlApi, OverHttp

HERE = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
SIZE = {"width": 1024, "height": 640}
_DECLINES = "/live?outcome=decline"
_DEMO_S, _READY_S = 420, 240.0


@dataclass(frozen=True)
class Picture:
    """One page in one theme; `follow` is a link on it that leads to the page meant,
    which is there once `shown` is.
    """

    name: str
    path: str
    theme: str = "light"
    follow: str = ""
    shown: str = "main h1"


PICTURES = (
    Picture("live", "/live"),
    Picture("live-dark", "/live", "dark"),
    Picture("decision", _DECLINES, "light", "#rows a", "#explanation svg"),
    Picture("decision-dark", _DECLINES, "dark", "#rows a", "#explanation svg"),
    Picture("cases", "/cases"),
    Picture("policy", "/policy"),
    Picture("backtest", "/policy/backtests", "light", "main td a"),
    Picture("health", "/health"),
)


def take(
    browser: Chromium,
    url: str,
    token: str,
    directory: Path,
    pictures: tuple[Picture, ...] = PICTURES,
) -> list[Path]:
    """Log in and take each; the files, in order."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for theme in ("light", "dark"):
        page = browser.page(url, viewport=SIZE, color_scheme=theme)
        page.goto("/health")
        page.get_by_label("Your token of the control plane").fill(token)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/health")
        for each in pictures:
            if each.theme == theme:
                page.goto(each.path)
                if each.follow:
                    page.locator(each.follow).first.click()
                    page.wait_for_url(
                        lambda url, path=each.path: not url.endswith(path)
                    )
                page.locator(each.shown).first.wait_for()
                file = directory / f"{each.name}.png"
                page.screenshot(path=str(file))
                files.append(file)
        page.context.close()
    return files


def _settled(control: ControlApi) -> bool:
    """Whether the demo's people have closed a case and tried their version."""
    closed = control.get("cases", state="closed").json["items"]
    tried = control.get("backtests").json["items"]
    return bool(closed and tried and tried[0]["state"] == "done")


def main(directory: Path) -> None:
    """Run a demo, wait until its people have worked, take the pictures, end it."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "scoring", "demo", "--seconds", str(_DEMO_S)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert demo.stdout is not None
    said = ""
    try:
        for line in demo.stdout:
            said += line
            if "decided:" in line:
                break
        (url,) = re.findall(r"console  (http://\S+)", said)
        (plane,) = re.findall(r"SCORING_CONTROL_URL=(\S+)", said)
        (token,) = re.findall(r"author +(fsc_\S+)", said)
        control, ends = ControlApi(OverHttp(plane, token)), time.monotonic() + _READY_S
        while not _settled(control):
            assert time.monotonic() < ends, "the demo's people did not come to an end"
            time.sleep(1)
        with chromium() as browser:
            files = take(browser, url, token, directory)
    finally:
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=WITHIN_S * 2)
    for file in files:
        print(f"{file.stat().st_size / 1024:6.1f} kB  {file}")


if __name__ == "__main__":
    main(HERE)
