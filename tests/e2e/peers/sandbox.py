"""Servers that were unpacked, not installed: they run in a mount namespace of their own, in which the folders that they
have compiled in are private ones and the users that their package would have made are there. Names come from HOSTS alone:
there is no name server, so that every other look-up fails at once. Nothing of the machine changes.
"""
import socket
from pathlib import Path

USERS = {"Debian-exim": 64001, "opensmtpd": 64002, "opensmtpq": 64003, "smmta": 64004, "smmsp": 64005, "mailsink": 64006}

HOSTS = f"127.0.0.1 gw.example.test {socket.gethostname()} localhost\n" + "".join(
    f"127.0.2.{n} mx{n}.sender.example\n" for n in range(1, 255))  # the senders have proper names


def command(folder, binds, words):
    """The command line that runs `words` with `binds` ({path of the machine: private folder or file}) laid over the machine's."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    binds = dict(binds)
    for name, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
        text = Path("/etc", name).read_text()
        have = {row.split(":")[0] for row in text.splitlines()}
        (folder / name).write_text(text + "".join(line.format(user, number) for user, number in USERS.items() if user not in have))
        binds[f"/etc/{name}"] = folder / name
    for name, text in (("hosts", HOSTS), ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")):
        (folder / name).write_text(text)
        binds[f"/etc/{name}"] = folder / name
    mounts = "".join(f'mount --bind "{private}" "{path}" && ' for path, private in binds.items())
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", f'{mounts}exec "$@"', "sh", *map(str, words)]
