"""The explorer's page in a headless browser: mouse, keyboard, themes. In JupyterLab: ``test_notebooks_browser.py``."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scalingdb as sdb
from scalingdb import explorer as package

HERE = Path(package.__file__).parent
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.ci,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on this machine"),
    # the browser driver's event loop leaves its own sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

STAND_IN = """
    // what JupyterLab's widgets do for the page: keep the state, carry messages
    const heard = {};
    let state = await window.answer({});
    const take = (next) => {
        state = {...state, ...next};
        for (const name of Object.keys(next)) (heard[`change:${name}`] || []).forEach((call) => call());
    };
    const model = {
        get: (name) => state[name],
        set: (name, value) => { state[name] = value; },
        save_changes: async () => take(await window.answer({width: state.width})),
        send: async (message) => take(await window.answer(message)),
        on: (name, call) => (heard[name] ||= []).push(call),
        off: () => {},
    };
    widget.render({model, el: document.querySelector('main')});
"""


@pytest.fixture
def page(db: sdb.Warehouse) -> Iterator[Any]:
    """A page with the explorer, which a Python object answers as in a notebook."""
    from playwright.sync_api import sync_playwright

    explorer = sdb.explore("epoch_chinchilla", db=db)
    explorer._later = lambda _, what: what()  # type: ignore[method-assign]

    def answer(message: dict[str, Any]) -> dict[str, Any]:
        if "width" in message:
            explorer.widget.width = int(message["width"])
        elif message:
            explorer._receive(None, message)
        return {
            "menu": explorer.widget.menu,
            "view": explorer.widget.view,
            "width": explorer.widget.width,
            "name": explorer.widget.name,
        }

    style, script = ((HERE / f"explorer.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        shown = browser.new_page(viewport={"width": 1200, "height": 1000})
        faults: list[str] = []
        shown.on("pageerror", lambda error: faults.append(str(error)))
        shown.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        shown.expose_function("answer", answer)
        shown.set_content(f'<html lang="en"><title>x</title><style>{style}</style><body><main></main></body></html>')
        text = script.replace("export default", "const widget =") + STAND_IN
        shown.add_script_tag(content=text, type="module")
        shown.wait_for_selector(".sdbx-svg .dot", timeout=30_000, state="attached")
        shown.wait_for_function("document.querySelectorAll('.sdbx-bar select')[0].options.length > 5", timeout=30_000)
        yield shown
        browser.close()
        assert faults == []


def answered(page: Any, act: Any) -> None:
    """Do something and wait for the answer to it."""
    before = int(page.locator(".sdbx-live").get_attribute("data-answers"))
    act()
    page.wait_for_function(
        "before => Number(document.querySelector('.sdbx-live').dataset.answers) > before", arg=before, timeout=30_000
    )


def text(page: Any, selector: str) -> str:
    return str(page.locator(selector).first.text_content())


def test_mouse_keyboard_choices_and_themes(page: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    curve = page.locator("path.frontier.now").get_attribute("d")
    box = page.locator(".sdbx-canvas").bounding_box()

    def brush() -> None:
        page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.25 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.35 * box["height"], steps=3)
        page.mouse.up()

    answered(page, brush)
    assert page.locator("path.frontier.now").get_attribute("d") != curve
    said = text(page, ".change")
    assert said.startswith("Without these ")
    assert "D/N at 1e24 FLOP" in said
    assert text(page, ".sdbx-status") == said
    assert ".is_in(gone)" in text(page, ".code pre")

    answered(page, page.get_by_role("button", name="Put all back").click)
    assert page.locator("path.frontier.now").get_attribute("d") == curve

    page.locator(".sdbx-canvas").focus()
    page.keyboard.press("End")
    assert "epoch_chinchilla/" in text(page, ".sdbx-status")
    answered(page, lambda: page.keyboard.press(" "))
    assert "239 of 240 runs" in text(page, ".head")
    answered(page, lambda: page.keyboard.press(" "))
    assert "to 240 runs" in text(page, ".head")

    answered(page, page.locator("button[data-row]").first.click)
    assert page.evaluate("document.activeElement.matches('button[data-row]')")  # the keyboard stays in the list
    answered(page, lambda: page.get_by_role("combobox", name="Objective").select_option("mse_log"))
    assert "With mse_log instead of huber_log" in text(page, ".change")
    answered(page, lambda: page.get_by_role("combobox", name="Along").select_option("n_tokens"))
    assert "along tokens D" in str(page.locator(".sdbx-svg").get_attribute("aria-label"))

    for theme, width in (("light", 1200), ("dark", 390)):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        page.wait_for_timeout(400)
        found = Axe().run(page, context=".sdbx-live").response["violations"]
        assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
