#!/usr/bin/env python3
"""The Debian package, as somebody gets it: built, checked by lintian, installed in a clean Debian root, run by its unit file's
command line as its own user with its two capabilities inline before a Postfix, opened windows for, reloaded, upgraded, hung,
killed; tested by the end-to-end suites that need no more than Python; removed and purged again.

The root is made by mmdebstrap from the host's own apt sources, the hosts are network namespaces. Needs root; ends with 77, and
says why, where a tool or the package registry is missing.
"""
import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "netns"), str(Path(__file__).parents[1] / "e2e")]
from lib import store  # noqa: E402
from lib.postfix import Postfix  # noqa: E402
from lib.service import Manager, alive, status_of, wait_for  # noqa: E402
from mail import send  # noqa: E402
from service_life import Life  # noqa: E402
from topology import CAPTURED, OUTSIDE, Topology, differences, run, snapshot  # noqa: E402

CAPABILITIES = "net_admin", "net_bind_service"
NET_ADMIN = 1 << 12
BITS = NET_ADMIN | 1 << 10
STORE = "var/lib/smtpscope"
SUITES = (("windows",), ("reload",), ("control",), ("names",), ("upgrade",), ("kill9", "--kills", "10"), ("secrets",))
# What package management writes for itself.
ITS_OWN = ("proc", "sys", "dev", "run", "tmp", "var/lib/dpkg", "var/log", "var/cache", "etc/.pwd.lock", "etc/passwd-", "etc/group-",
           "etc/shadow-", "etc/gshadow-", "etc/subuid-", "etc/subgid-")


def why_not():
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("mmdebstrap", "lintian", "dpkg-deb", "dpkg-shlibdeps", "setpriv", "ip", "nft", "postfix") if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)} here"
    probe = subprocess.run(["unshare", "--net", "nft", "list", "ruleset"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"no network namespaces here: {probe.stderr.strip()[:200]}"


class Root:
    """A clean Debian in a folder, whose programs run in the network namespace `net`."""

    def __init__(self, folder):
        self.folder = folder

    def make(self, packages):
        """From the package registry; why not, if it cannot be."""
        sources = [path for path in (*Path("/etc/apt/sources.list.d").glob("debian*"), Path("/etc/apt/sources.list")) if path.is_file() and path.stat().st_size]
        try:
            made = subprocess.run(["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(packages)}", "bookworm",
                                   str(self.folder), *map(str, sources[:1])], capture_output=True, text=True, check=False, timeout=500)
        except subprocess.TimeoutExpired:
            return "mmdebstrap took longer than 500 s"
        return "" if made.returncode == 0 else made.stderr[-500:]

    def words(self, net, *command, source=None):
        """`source`: a folder that is seen as /mnt."""
        mounts = [("-t proc proc", "proc"), ("-t sysfs sysfs", "sys"), ("--bind /dev", "dev")]
        if source:
            mounts.append((f"--bind -o ro {shlex.quote(str(source))}", "mnt"))
        mounts = " && ".join(f"mount {what} {shlex.quote(str(self.folder))}/{where}" for what, where in mounts)
        return ("ip", "netns", "exec", net, "sh", "-c", f'{mounts} && exec chroot {shlex.quote(str(self.folder))} "$@"', "sh", *map(str, command))

    def run(self, net, *command, check=True):
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        return run(*self.words(net, *command), check=check, env=env, stdin=subprocess.DEVNULL, timeout=120)

    def paths(self):
        found = set()
        for top, folders, files in os.walk(self.folder):
            at = os.path.relpath(top, self.folder)
            here = {os.path.normpath(os.path.join(at, name)) for name in (*folders, *files)}
            found |= {path for path in here if not path.startswith(ITS_OWN)}
            folders[:] = [f for f in folders if not os.path.normpath(os.path.join(at, f)).startswith(ITS_OWN)]
        return found

    def user(self):
        return re.search(r"(?m)^smtpscope:.*$", (self.folder / "etc/passwd").read_text())


def unit_of(root):
    """(user, command line, runtime folder) of the unit file; the ones that it is to have where there is no unit file yet."""
    path = root.folder / "lib/systemd/system/smtpscope.service"
    if not path.exists():
        return "smtpscope", ["/usr/bin/smtpscope", "run", "--config", "/etc/smtpscope/smtpscope.jsonc"], ""
    text = path.read_text()
    folder = re.search(r"(?m)^RuntimeDirectory=(\S+)", text)
    return (re.search(r"(?m)^User=(\S+)", text)[1], shlex.split(re.search(r"(?m)^ExecStart=[-+!:@]*(.*)$", text)[1]),
            folder[1] if folder else "")


def lint(package):
    done = subprocess.run(["lintian", "--fail-on", "error", "--tag-display-limit", "0", "--allow-root", str(package)],
                          capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"lintian:\n{done.stdout}{done.stderr}"
    return [line for line in done.stdout.splitlines() if line.startswith("W:")]


def as_the_service(root, *command):
    """The command as the unit's user, with the unit's capabilities."""
    user = unit_of(root)[0]
    caps = [f"{option}=-all," + ",".join(f"+{c}" for c in CAPABILITIES)
            for option in ("--bounding-set", "--inh-caps", "--ambient-caps")]
    return ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *caps, "--no-new-privs", *command)


class Service:
    """`smtpscope run` as systemd would start it. `pid` is the process that serves; an upgrade changes it."""

    def __init__(self, root, net, log, manager):
        _, command, runtime = unit_of(root)
        if runtime and not (root.folder / "run" / runtime).exists():  # which systemd makes
            (root.folder / "run" / runtime).mkdir(mode=0o750)
            os.chown(root.folder / "run" / runtime, *map(int, root.user()[0].split(":")[2:4]))
        self.uid, since = int(root.user()[0].split(":")[2]), time.monotonic()
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                [str(w) for w in root.words(net, *as_the_service(root, *command))], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **manager.environment(), "NOTIFY_SOCKET": "/run/notify"})
        self.pid = self.process.pid
        manager.wait("READY=1", self.pid, since, 60)

    def check(self):
        """Its own user, CAP_NET_ADMIN, and nothing beyond the two; it may have given up what it does not need."""
        status = status_of(self.pid)
        assert status["Uid"].split()[0] == str(self.uid), status
        for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
            has = int(status[name], 16)
            assert has & ~BITS == 0 and (name != "CapEff" or has & NET_ADMIN), status

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        wait_for(lambda: not alive(self.pid), "SIGKILL")
        self.process.wait(60)

    def stop(self):
        if alive(self.pid):
            os.kill(self.pid, signal.SIGTERM)
        wait_for(lambda: not alive(self.pid), "SIGTERM", 60)
        assert self.process.wait(60) == 0, self.process.returncode


def suites_inside(root, net, source):
    """The end-to-end tests that need nothing but Python, with the installed program, as its user with its capabilities."""
    (root.folder / "tmp/none.jsonc").write_text("{}")  # in place of the installed one
    for name, *words in SUITES:
        done = subprocess.run(root.words(net, *as_the_service(root, "python3", "-B", f"/mnt/tests/e2e/run_{name}.py", "--binary",
                                                              "/usr/bin/smtpscope", "--source", "/mnt", *words), source=source),
                              capture_output=True, text=True, check=False, timeout=900, stdin=subprocess.DEVNULL,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TMPDIR": "/tmp",
                                   "SMTPSCOPE_CONFIG": "/tmp/none.jsonc"})
        assert done.returncode == 0, f"{name}: status {done.returncode}\n{done.stdout[-2500:]}{done.stderr[-1000:]}"


def play(options, root, package, net, folder):
    """Installed, inline before a Postfix, removed, purged."""
    middle = net.names["middle"]
    clean, before = root.paths(), snapshot(net)
    shutil.copy(package, root.folder / "tmp")
    inside = f"/tmp/{package.name}"
    root.run(middle, "dpkg", "-i", inside)
    assert root.run(middle, "smtpscope", "--version").stdout.startswith("smtpscope ")
    uid = int(root.user()[0].split(":")[2])
    suites_inside(root, net.names["gateway"], options.source)
    at = (root.folder / STORE).stat()
    assert (at.st_mode & 0o7777, at.st_uid) == (0o700, uid), at
    assert root.run(middle, "smtpscope", "config", "check", check=False).returncode in (0, 78)

    settings = {"listeners": [{"address": f"{host}:10025", "accept": "tproxy"} for host in ("0.0.0.0", "[::]")],
                "gateway": {"present": "sender"}, "divert": {"destinations": ["10.88.2.25", "fd88:2::25"]},
                "capture": {"senders": [net.sender(CAPTURED), net.sender(CAPTURED, 6)]}, "drain": "1s"}
    (root.folder / "etc/smtpscope/smtpscope.jsonc").write_text(json.dumps(settings))
    postfix = Postfix(folder / "postfix", namespace=net.names["gateway"])
    manager, service = Manager(root.folder / "run"), None

    def start():
        return Service(root, middle, folder / "log", manager)
    try:
        postfix.start()
        service = start()
        service.check()
        root.run(middle, "smtpscope", "divert", "on")
        examined = root.run(middle, "smtpscope", "doctor", "--json", check=False)
        found = json.loads(examined.stdout)
        assert examined.returncode == 0 and found["fit"], [c for c in found["checks"] if c["result"] == "failed"]
        for version in (4, 6):
            mails = [send(net, net.sender(host, version)) for host in (CAPTURED, OUTSIDE)]
            deadline = time.monotonic() + 20
            while not all(mail.address in postfix.clients() for mail in mails):
                assert time.monotonic() < deadline, postfix.clients()
                time.sleep(0.1)
        seen = store.wait_transcripts(root.folder / STORE, 2)
        assert {t["sender"]["ip"] for t in seen} == {net.sender(CAPTURED), net.sender(CAPTURED, 6)}, seen
        assert all(t["verdict"] == "delivered" and t["gateway"]["sees"] == "sender" for t in seen), seen
        assert root.run(middle, "smtpscope", "list").stdout.count("\n") == 2
        assert "250 2.0.0 Ok: queued" in root.run(middle, "smtpscope", "show", "last").stdout
        for path in (root.folder / STORE).rglob("*"):
            mode = path.stat().st_mode & 0o077
            assert mode == 0, f"{path} is open to others"
        life = Life(root, net, service, manager, start)
        try:
            life.play()
        finally:
            service = life.service
        # `remove` takes the diversion back, also while the service still runs.
        root.run(middle, "dpkg", "-r", "smtpscope")
        left = differences(before, snapshot(net))
        assert not left, left[:8]
        send(net, net.sender(CAPTURED))
    finally:
        if service:
            service.stop()
        postfix.stop()
        manager.close()
    assert not (root.folder / "usr/bin/smtpscope").exists()
    assert (root.folder / "etc/smtpscope/smtpscope.jsonc").exists()
    root.run(middle, "dpkg", "-P", "smtpscope")
    kept = root.paths() - clean
    assert kept and all(path.startswith(STORE) for path in kept), sorted(p for p in kept if not p.startswith(STORE))[:10]
    assert not clean - root.paths(), sorted(clean - root.paths())[:10]
    assert root.user(), "recordings without an owner"
    # Without recordings nothing is left at all, nor the user.
    shutil.rmtree(root.folder / STORE)
    root.run(middle, "dpkg", "-i", inside)
    root.run(middle, "dpkg", "-P", "smtpscope")
    assert root.paths() == clean, sorted(root.paths() ^ clean)[:10]
    assert not root.user()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, type=Path)
    parser.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[2])
    parser.add_argument("--root", type=Path, help="a clean root to copy in place of making one, for runs by hand")
    options = parser.parse_args()
    if reason := why_not():
        print(f"skipped: {reason}")
        sys.exit(77)
    began = time.monotonic()
    built = subprocess.run([str(options.source / "deploy/build-deb.sh"), "--build", str(options.binary.resolve().parent)],
                           capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    package = Path(built.stdout.splitlines()[-1])
    warnings = lint(package)
    depends = run("dpkg-deb", "-f", package, "Depends", "Recommends").stdout
    packages = sorted({re.split(r"[ (|]", word.strip())[0] for line in depends.splitlines() for word in line.split(":", 1)[1].split(",")})
    with tempfile.TemporaryDirectory(prefix="smtpscope-package.") as folder:
        os.chmod(folder, 0o755)
        folder = Path(folder)
        root = Root(folder / "root")
        if options.root:
            run("cp", "-a", options.root, root.folder)
        elif reason := root.make([*packages, "python3", "python3-jsonschema", "tshark"]):  # for the suites
            print(f"skipped: no clean root can be made here (the package is built and lintian found no error): {reason}")
            sys.exit(77)
        with Topology() as net:
            play(options, root, package, net, folder)
    print(f"summary: package: {package.name}, {package.stat().st_size >> 10} KiB, {len(warnings)} lintian warnings; installed, inline, "
          f"removed and purged in a clean root in {time.monotonic() - began:.0f} s")
    for warning in warnings:
        print(warning)


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"FAILED: {error!r}"[:4000])
        sys.exit(1)
