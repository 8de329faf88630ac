"""JupyterLab in a real browser, worked as a person would: headless Chromium, mouse and keys.

Pictures go to the folder that TINYKD_SCREENSHOTS names, if any. JupyterLab keeps only the cells in
view in the page, so a cell is found through the notebook's model, scrolled to, and then clicked.
"""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

webdriver = pytest.importorskip("selenium.webdriver")
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its chromedriver here"),
]
RIGHT = """def softmax(z, T=1.0, axis=-1):
    x = z / T
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
"""
WRONG = RIGHT.replace("z / T", "z * T")
TRAINING = """import torch
from tinykd import MLP, Batches, HardLabels, Trainer

torch.manual_seed(0)
x, y = torch.randn(40_000, 50), torch.randint(3, (40_000,))
trainer = Trainer(MLP(50, 64, 3), HardLabels(), checkpoint="browser.ckpt")
history = trainer.fit(Batches(x, y, size=20), epochs=EPOCHS, resume=RESUME)
print("trained", len(history), "epochs")
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy that may be written into: the students' lessons and one solution."""
    folder = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "lessons", folder / "lessons")
    (folder / "datasets").symlink_to(ROOT / "datasets")
    solved = nbformat.read(ROOT / "solutions" / "01_temperature.ipynb", 4)
    for cell in solved.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(solved, folder / "lessons" / "solved.ipynb")
    cells = [nbformat.v4.new_code_cell("", metadata={"name": name}) for name in ("train", "on")]
    training = nbformat.v4.new_notebook(cells=cells)
    for cell, epochs, resume in zip(cells, (50, 1), (False, True), strict=True):
        cell.source = TRAINING.replace("EPOCHS", str(epochs)).replace("RESUME", str(resume))
    training.metadata["kernelspec"] = solved.metadata["kernelspec"]
    nbformat.write(training, folder / "lessons" / "training.ipynb")
    return folder


@pytest.fixture(scope="module")
def server(course, child_env_of_module):
    """The address of JupyterLab, started by `make lab` where this is its environment."""
    port, token = free_port(), "token-of-the-test"
    own = [
        *(f"--port={port}", f"--ServerApp.root_dir={course}", f"--IdentityProvider.token={token}"),
        *("--LabApp.expose_app_in_browser=True", "--ServerApp.open_browser=False"),
        "--ServerApp.allow_root=True",
    ]
    if Path(sys.executable).parent == ROOT / ".venv" / "bin" and shutil.which("make"):
        command = ["make", "lab", f"LAB_ARGS={' '.join(own)}"]
    else:
        first = "--LabApp.default_url=/lab/tree/lessons/00_start_here.ipynb"
        command = [sys.executable, "-m", "jupyter", "lab", first, *own]
    with open(course / "server.log", "w") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=child_env_of_module, stdout=log, stderr=log, process_group=0
        )
    address = f"http://127.0.0.1:{port}"
    for _ in range(240):
        try:
            urllib.request.urlopen(f"{address}/api?token={token}", timeout=5)
            break
        except OSError:
            time.sleep(0.5)
    else:
        pytest.fail((course / "server.log").read_text())
    yield address, token
    os.killpg(process.pid, 9)


def free_port():
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def child_env_of_module(tmp_path_factory):
    env = {key: value for key, value in os.environ.items() if not key.startswith("TINYKD_")}
    env["JUPYTER_CONFIG_DIR"] = str(tmp_path_factory.mktemp("jupyter"))  # no tabs of another run
    return env | {"TINYKD_SCALE": "smoke", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for one in ("headless=new", "no-sandbox", "disable-dev-shm-usage", f"user-data-dir={profile}"):
        options.add_argument(f"--{one}")
    found = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    found.set_window_size(1300, 1000)
    # JupyterLab's current widget is the one with the focus, which a headless window may not have.
    found.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    yield found
    found.quit()


@pytest.fixture
def lab(driver, server):
    return Lab(driver, *server)


class Lab:
    """What a person does with JupyterLab."""

    def __init__(self, driver, address, token):
        self.driver, self.address, self.token = driver, address, token

    def go(self, path=""):
        """Open an address; without one what `make lab` opens."""
        self.driver.get(f"{self.address}/{path}?token={self.token}")
        self.until("return window.jupyterapp && jupyterapp.restored && true", "JupyterLab")

    def open(self, name):
        """A notebook, with its kernel started."""
        self.go(f"lab/tree/lessons/{name}.ipynb")
        self.until(
            f"const w = jupyterapp.shell.currentWidget; return w && w.content && w.content.widgets "
            f"&& w.context.path.endsWith('{name}.ipynb') "
            "&& w.sessionContext.session?.kernel?.status === 'idle'",
            name,
        )

    def until(self, script, what, seconds=60):
        """Wait until JavaScript gives something true, and give that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := self.driver.execute_script(script):
                    return found
            except Exception as error:
                if "javascript error" not in str(error):
                    raise
            time.sleep(0.1)
        self.picture(f"failed-{what}")
        pytest.fail(f"{what}: not so after {seconds} s: {script}")

    def show(self, name):
        """Scroll to the cell of this name and click into its editor."""
        self.driver.execute_script(
            "const n = jupyterapp.shell.currentWidget.content;"
            "const named = c => c.model.sharedModel.metadata.name === arguments[0];"
            "const i = n.widgets.findIndex(named);"
            "n.activeCellIndex = i; n.scrollToItem(i, 'center');",
            name,
        )
        script = (
            "const n = jupyterapp.shell.currentWidget.content, c = n.activeCell;"
            "return c && c.node.isConnected && (c.node.querySelector('.cm-content') || c.node)"
        )
        editor = self.until(script, f"cell {name} in view")
        time.sleep(0.3)  # the notebook scrolls on while heights become known
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", editor)
        return self.until(script, f"cell {name} in view")

    def write(self, name, source):
        """Replace the text of a cell."""
        ActionChains(self.driver).click(self.show(name)).perform()
        keys(self.driver, Keys.CONTROL, "a")
        self.driver.execute_cdp_cmd("Input.insertText", {"text": source})

    def run(self, name, seconds=60):
        """Shift+Enter in a cell; gives the text of its output."""
        ActionChains(self.driver).click(self.show(name)).perform()
        keys(self.driver, Keys.SHIFT, Keys.ENTER)
        self.idle(seconds)
        return self.output(name)

    def idle(self, seconds=60):
        """Wait until nothing has run for a second."""
        self.until(
            "const w = jupyterapp.shell.currentWidget;"
            "const idle = w.sessionContext.session?.kernel?.status === 'idle' && "
            "!w.content.widgets.some(c => c.model.executionState === 'running');"
            "if (!idle) window.idleSince = undefined;"
            "else window.idleSince ??= performance.now();"
            "return idle && performance.now() - window.idleSince > 1000",
            "idle kernel",
            seconds,
        )
        self.driver.execute_script("window.idleSince = undefined")

    def output(self, name):
        """What stands below a cell, as text: JupyterLab draws it once it is in view."""
        self.show(name)
        return self.driver.execute_script(
            "const n = jupyterapp.shell.currentWidget.content;"
            "const c = n.widgets.find(c => c.model.sharedModel.metadata.name === arguments[0]);"
            "return c.outputArea.node.innerText",
            name,
        )

    def menu(self, *path):
        """Click through the menus at the top."""
        for level, item in enumerate(path):
            where = ".lm-MenuBar-item" if level == 0 else ".lm-Menu-item"
            found = self.until(
                f"return [...document.querySelectorAll('{where}')]"
                f".find(one => one.innerText.trim().startsWith({item!r}))",
                f"menu {item}",
            )
            ActionChains(self.driver).move_to_element(found).click().perform()

    def picture(self, name):
        """A screenshot, where they are wanted."""
        if folder := os.environ.get("TINYKD_SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


def keys(driver, held, pressed):
    ActionChains(driver).key_down(held).send_keys(pressed).key_up(held).perform()


def test_it_opens_on_lesson_00_and_has_a_launcher(lab):
    """`until` fails where it does not come to be."""
    lab.go()
    lab.until("return document.body.innerText.includes('Start here')", "lesson 00")
    lab.menu("File", "New Launcher")
    lab.until("return document.querySelectorAll('.jp-LauncherCard').length > 1", "launcher")
    lab.picture("launcher")


def test_an_answer_wrong_then_right(lab):
    lab.open("01_temperature")
    lab.menu("Run", "Run All Cells")
    lab.until(
        "return jupyterapp.shell.currentWidget.content.widgets"
        ".some(c => c.model.executionCount > 1)",
        "first cells",
    )
    lab.idle(120)
    lab.picture("untouched")
    assert "write your code here" in lab.output("softmax.values")
    lab.write("softmax", WRONG)
    lab.run("softmax")
    said = lab.run("softmax.temperature")
    lab.picture("hint")
    assert "not yet" in said
    assert "You multiply the logits by T" in said
    assert "Traceback" not in said
    lab.write("softmax", RIGHT)
    lab.run("softmax")
    assert "passed: softmax.temperature" in lab.run("softmax.temperature")
    lab.picture("passed")


def test_a_narrow_window_and_the_dark_theme(lab):
    lab.driver.set_window_size(600, 900)
    lab.open("01_temperature")
    lab.run("setup")
    lab.write("softmax", WRONG)
    lab.run("softmax")
    lab.run("softmax.temperature")
    wide = "return [...document.querySelectorAll('.jp-OutputArea-output div')].filter(d => {})"
    cut = lab.driver.execute_script(wide.format("d.scrollWidth > d.clientWidth + 1") + ".length")
    lab.driver.execute_script(
        "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})"
    )
    lab.until("return document.body.dataset.jpThemeLight === 'false'", "dark theme")
    time.sleep(0.5)
    lab.show("softmax.temperature")
    lab.picture("narrow-and-dark")
    colours = lab.driver.execute_script(
        "const d = [...document.querySelectorAll('.jp-OutputArea-output div')]"
        ".find(d => d.innerText.includes('not yet'));"
        "const page = d.closest('.jp-Notebook');"
        "return [getComputedStyle(d).color, getComputedStyle(page).backgroundColor]"
    )
    lab.driver.execute_script(
        "jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})"
    )
    lab.driver.set_window_size(1300, 1000)
    assert cut == 0, "a message is cut off at the side"
    assert brightness(colours[0]) - brightness(colours[1]) > 100, colours


def brightness(colour):
    import re

    red, green, blue, *_ = map(float, re.findall(r"[\d.]+", colour))
    return (red + green + blue) / 3


def test_restart_and_run_all_and_the_slider_changes_the_picture(lab):
    lab.open("solved")
    lab.menu("Run", "Restart Kernel and Run All")
    button = lab.until("return document.querySelector('.jp-Dialog .jp-mod-accept')", "dialog")
    button.click()
    time.sleep(3)
    lab.idle(150)
    assert "passed: softmax.values" in lab.output("softmax.values")
    lab.show("slider")
    find = (
        "const n = jupyterapp.shell.currentWidget.content;"
        "const c = n.widgets.find(c => c.model.sharedModel.metadata.name === 'slider');"
        "return c.outputArea.node.querySelector('{}')"
    )
    picture = find.format(".widget-output img, img")
    before = lab.until(picture, "the slider's picture").get_attribute("src")
    handle = lab.until(find.format(".noUi-handle, .ui-slider-handle"), "the slider")
    lab.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    lab.picture("slider-before")
    ActionChains(lab.driver).click(handle).send_keys(Keys.ARROW_RIGHT * 6).perform()
    lab.until(
        f"{picture.replace('return ', 'const p = ')}; return p && p.src !== {before!r}", "new"
    )
    lab.picture("slider-after")


def test_a_training_is_interrupted_and_gone_on_with(lab):
    lab.open("training")
    ActionChains(lab.driver).click(lab.show("train")).perform()
    keys(lab.driver, Keys.SHIFT, Keys.ENTER)
    where = (
        "const c = jupyterapp.shell.currentWidget.content.widgets[0];"
        "return c.outputArea.node.innerText"
    )
    lab.until(f"{where}.includes('epoch 1/50')", "progress bar")
    for _ in range(20):  # whatever epoch it is in
        time.sleep(0.3)
        lines = [line for line in lab.driver.execute_script(where).splitlines() if line.strip()]
        assert len(lines) <= 1, lines
    lab.until(f"{where}.includes('/50')", "the bar again")
    lab.picture("progress")
    lab.menu("Kernel", "Interrupt Kernel")
    lab.idle()
    said = lab.output("train")
    lab.picture("interrupted")
    assert "resume=True" in said
    assert "Traceback" not in said
    assert "trained" in lab.run("on", 120)


def test_a_report_in_the_browser_runs_nothing_and_fits_a_phone(lab, tmp_path):
    """Names that are HTML stay text; the pages hold no script and fit a phone."""
    from typer.testing import CliRunner

    from tinykd.classroom.cli import app

    folder, out = tmp_path / "handed_in", tmp_path / "report"
    shutil.copytree(ROOT / "docs" / "sample_class", folder)
    book = next(folder.rglob("*.ipynb"))
    shutil.copy(book, folder / "<img src=x onerror=document.title=1>.ipynb")
    os.chdir(ROOT)
    done = CliRunner().invoke(
        app, ["grade", str(folder), "--lesson", "01", "--out", str(out), "--unsafe", "--jobs", "2"]
    )
    assert done.exit_code in (0, 1), done.output
    pages = [out / "index.html", *sorted(out.glob("students/*/report.html"))[:3]]
    for page in pages:
        for width in (1300, 500):
            lab.driver.set_window_size(width, 900)
            lab.driver.get(page.as_uri())
            lab.picture(f"report-{page.parent.name}-{width}")
            assert lab.driver.execute_script("return document.scripts.length") == 0
            assert lab.driver.execute_script("return document.querySelectorAll('img').length") == 0
            assert lab.driver.title != "1"
            wide = "return document.documentElement.scrollWidth - window.innerWidth"
            assert lab.driver.execute_script(wide) <= 1, page
    lab.driver.set_window_size(1300, 1000)
