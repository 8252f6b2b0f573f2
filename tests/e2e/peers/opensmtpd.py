"""OpenSMTPD, unpacked: one instance, a `listen on` for each port, mail for the users of example.test goes to /bin/true.

settings: {"listen": "tls-require pki gw ..."}: what stands behind `listen on lo port N`; "filter": a builtin filter's test and
action ("phase rcpt-to match rcpt-to { ... } reject \\"550 ...\\""), for this port alone.
"""
import shutil

from peers import sandbox
from peers.gateway import DOMAIN, USERS, UNPACKED, Gateway

BINARY = "usr/sbin/smtpd"


class OpenSmtpd(Gateway):
    name, needs, shared = "opensmtpd", (BINARY,), True

    def launch(self):
        config, lines, filters = self.folder / "smtpd.conf", [], []
        for port, settings in self.listeners.items():
            if "filter" in settings:
                filters.append(f'filter "f{port}" {settings["filter"]}')
            lines.append(f'listen on 127.0.0.1 port {port} hostname gw.example.test {settings.get("listen", "")}' +
                         (f' filter "f{port}"' if "filter" in settings else ""))
        (self.folder / "users").write_text("".join(f"{user}@{DOMAIN}\n" for user in USERS))
        for name in ("good.pem", "good.key"):
            shutil.copy(self.certificates.folder / name, self.folder / name)
            (self.folder / name).chmod(0o600)
        config.write_text(f"""\
pki gw cert "{self.folder}/good.pem"
pki gw key "{self.folder}/good.key"
smtp max-message-size 100000
table users file:{self.folder}/users
action gone relay host smtp://127.0.0.1:9
{chr(10).join(filters + lines)}
match from any for domain "{DOMAIN}" rcpt-to <users> action gone
""")
        for part in ("run", "spool/smtpd", "lib/opensmtpd/empty"):
            (self.folder / part).mkdir(parents=True)
            (self.folder / part).chmod(0o711)
        (self.folder / "spool").chmod(0o755)
        binds = {"/var/run": self.folder / "run", "/var/spool": self.folder / "spool", "/var/lib": self.folder / "lib",
                 "/usr/libexec": UNPACKED / "usr/libexec"}
        self.spawn(*sandbox.command(self.folder / "sandbox", binds, [UNPACKED / BINARY, "-d", "-f", config]))
