# ruff: noqa: E402  the packages are an extra
"""The page to try served models on, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request

import pytest
import served

for package in ("tensorflow_serving", "grpc", "starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(package, reason=f"the extra `serving` is not installed: no {package}")

from training.export import model_base
from training.serving.client import Client
from training.serving.server.page import FILES, FOLDER
from training.serving.server.server import Server

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(base):
    with Server(base / model_base.LOCAL_CONFIG, grpc_port=0, rest_port=0) as running:
        yield running


@pytest.fixture(scope="module")
def address(running):
    return f"http://127.0.0.1:{running.rest_port}"


def test_the_page_takes_nothing_from_elsewhere(address):
    for path, file in FILES.items():
        with urllib.request.urlopen(address + path) as response:
            text = response.read().decode()
            policy = response.headers["Content-Security-Policy"]
        assert text == (FOLDER / file).read_text()
        assert not re.findall(r"https?://", text)
        assert policy.startswith("default-src 'none'")


def test_what_is_served_is_listed(address):
    with urllib.request.urlopen(address + "/page/models") as response:
        (model,) = json.load(response)["models"]
    assert model["name"] == "net"
    newest, oldest = model["versions"]
    assert (newest["number"], newest["labels"]) == (2, ["canary"])
    assert (oldest["number"], oldest["labels"]) == (1, ["stable"])
    assert oldest["resizing"] == {"shorter_side": 32, "crop": 32, "method": "bilinear"}
    assert {"classify", "grad_cam"} <= set(oldest["signatures"])


# In the browser


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        pytest.skip("not installed: Debian's packages chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


def open_page(browser, address):
    browser.get(address)
    served.until(lambda: all_of(browser, "#version option"))


def all_of(browser, selector):
    return browser.find_elements("css selector", selector)


def choose(browser, files):
    (control,) = all_of(browser, "#files")
    control.send_keys("\n".join(map(str, files)))
    served.until(lambda: "answered" in all_of(browser, "#status")[0].text)
    return all_of(browser, "article")  # the last chosen first


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "first.png", tmp_path / "second.jpg", tmp_path / "broken.png"]
    paths[0].write_bytes(served.image(0, "PNG", 40, 64))
    paths[1].write_bytes(served.image(1, "JPEG"))
    paths[2].write_bytes(b"no image")
    return paths


def test_pictures_are_answered_as_a_client_is_answered(browser, address, running, files):
    open_page(browser, address)
    broken, second, first = choose(browser, files)
    client = Client(f"grpc://127.0.0.1:{running.grpc_port}", "net")
    for article, file in ((first, files[0]), (second, files[1])):
        (best,) = client.classify([file.read_bytes()])
        shown = [row.text.splitlines() for row in article.find_elements("css selector", ".class")]
        assert shown[:-1] == [[one.label, f"{100 * one.probability:.1f} %"] for one in best]
        widths = [bar.size["width"] for bar in article.find_elements("css selector", ".bar i")]
        full = article.find_element("css selector", ".bar").size["width"]
        assert widths == pytest.approx([full * one.probability for one in best], abs=1)
    error = broken.find_element("css selector", "[role=alert]")
    assert "the image is not JPEG, PNG, GIF, BMP or WebP" in error.text


def test_grad_cam_lies_over_the_square_that_the_network_sees(browser, address, files):
    open_page(browser, address)
    (article,) = choose(browser, files[:1])
    image, canvas = (article.find_element("css selector", name) for name in ("img", "canvas"))
    assert canvas.is_displayed()
    assert canvas.size["height"] == pytest.approx(image.size["height"], abs=1)
    assert canvas.size["width"] == pytest.approx(canvas.size["height"], abs=1)
    middles = [one.rect["x"] + one.rect["width"] / 2 for one in (image, canvas)]
    assert middles[0] == pytest.approx(middles[1], abs=1)

    def pixels():
        return browser.execute_script("return arguments[0].toDataURL()", canvas)

    radios = article.find_elements("css selector", "input")
    first = pixels()
    radios[0].send_keys("\ue015")  # the arrow down
    assert radios[1].is_selected()
    assert pixels() != first
    radios[-1].send_keys(" ")  # the picture alone
    assert not canvas.is_displayed()


def test_a_version_can_be_chosen(browser, address, files):
    open_page(browser, address)
    (version,) = all_of(browser, "#version")
    version.send_keys("1 (stable)")
    (article,) = choose(browser, files[:1])
    assert "(net, version 1)" in article.text


def test_the_keyboard_reaches_every_control_and_each_has_a_name(browser, address, files):
    open_page(browser, address)
    choose(browser, files[:1])
    script = (
        "return [...document.querySelectorAll('input, select')].map((one) =>"
        " [one.tabIndex, one.labels.length && one.labels[0].textContent.trim()])"
    )
    for tab_index, name in browser.execute_script(script):
        assert tab_index == 0
        assert name


def test_it_fits_a_phone(browser, address, files):
    browser.set_window_size(360, 740)
    open_page(browser, address)
    choose(browser, files)
    width = "return document.documentElement.{}Width"
    overflow = [browser.execute_script(width.format(kind)) for kind in ("scroll", "client")]
    assert overflow[0] <= overflow[1]


def test_a_server_that_is_gone_is_named(browser, base, files):
    with Server(base / model_base.LOCAL_CONFIG, grpc_port=0, rest_port=0) as running:
        open_page(browser, f"http://127.0.0.1:{running.rest_port}")
    (article,) = choose(browser, files[:1])
    assert "The server does not answer" in article.text
