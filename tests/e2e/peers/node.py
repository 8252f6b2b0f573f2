"""What the tests take from npm: installed once into build/peers/node, by tests/e2e/peers/package.json."""
import filecmp
import fcntl
import shutil
import subprocess
from pathlib import Path

MANIFEST = Path(__file__).with_name("package.json")
FOLDER = Path(__file__).resolve().parents[3] / "build" / "peers" / "node"
MODULES = FOLDER / "node_modules"


def missing():
    """Installs the packages if they are not there; "" or why they cannot be had."""
    if not shutil.which("npm") or not shutil.which("node"):
        return "npm"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done, manifest = FOLDER / "installed.json", FOLDER / "package.json"
        if done.exists() and filecmp.cmp(done, MANIFEST, shallow=False):
            return ""
        shutil.copy(MANIFEST, manifest)
        try:
            installed = subprocess.run(["npm", "install", "--omit=dev", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"],
                                       cwd=FOLDER, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False)
        except subprocess.TimeoutExpired:
            return "npm install (took over 300 s)"
        if installed.returncode != 0:
            return f"npm install (it failed: {installed.stderr.strip().splitlines()[-1:]})"
        shutil.copy(MANIFEST, done)
    return ""
