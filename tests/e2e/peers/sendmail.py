"""Sendmail, unpacked: mail for the users of example.test goes to the mailer *file*. AUTH and STARTTLS are off.

settings: {"confMAX_RCPTS_PER_MESSAGE": "2", ...}: m4 definitions; "features": further lines of the .mc file; "access": lines of
the access map.
"""
import subprocess

from peers import sandbox
from peers.gateway import DOMAIN, USERS, UNPACKED, Gateway

BINARY = "usr/libexec/sendmail/sendmail"
MACROS = "usr/share/sendmail/cf"


class Sendmail(Gateway):
    name, needs = "sendmail", (BINARY, MACROS, "m4")

    def launch(self):
        (port, settings), = self.listeners.items()
        settings = dict(settings)
        features, access = settings.pop("features", ""), settings.pop("access", "")
        defines = {
            "confDOMAIN_NAME": "gw.example.test", "QUEUE_DIR": self.folder / "queue", "STATUS_FILE": self.folder / "status",
            "confPID_FILE": self.folder / "pid", "ALIAS_FILE": self.folder / "aliases", "confMAX_MESSAGE_SIZE": "100000",
            "confREFUSE_LA": "1000", "confQUEUE_LA": "1000", "confDELAY_LA": "0",  # else it stops listening on a busy machine
            "confDELIVERY_MODE": "queueonly", "confTO_IDENT": "0", "confDONT_PROBE_INTERFACES": "True",
            "confDONT_BLAME_SENDMAIL": "MapInUnsafeDirPath,LinkedMapInWritableDir", **settings}
        mc = self.folder / "sendmail.mc"
        mc.write_text("divert(0)dnl\nOSTYPE(`linux')dnl\n" +
                      "".join(f"define(`{name}', `{value}')dnl\n" for name, value in defines.items()) +
                      f"FEATURE(`access_db', `hash -T<TMPF> -o {self.folder}/access')dnl\nFEATURE(`nocanonify')dnl\n"
                      f"FEATURE(`accept_unresolvable_domains')dnl\nLOCAL_DOMAIN(`{DOMAIN}')dnl\n{features}"
                      f"FEATURE(`no_default_msa')dnl\nDAEMON_OPTIONS(`Name=MTA, Addr=127.0.0.1, Port={port}')dnl\n"
                      "MAILER(`local')dnl\nMAILER(`smtp')dnl\n")
        (self.folder / "aliases").write_text("".join(f"{user}: /dev/null\n" for user in (*USERS, "postmaster", "MAILER-DAEMON")))
        subprocess.run([UNPACKED / "usr/libexec/sendmail/makemap", "-C", "/dev/null", "hash", self.folder / "access"],
                       input=access.encode(), check=True, capture_output=True)
        (self.folder / "queue").mkdir(mode=0o700)
        cf = subprocess.run(["m4", f"-D_CF_DIR_={UNPACKED}/{MACROS}/", f"{UNPACKED}/{MACROS}/m4/cf.m4", str(mc)], capture_output=True,
                            text=True, check=False, cwd=self.folder)
        assert cf.returncode == 0, f"m4: {cf.stderr}"
        (self.folder / "sendmail.cf").write_text(cf.stdout)
        self.spawn(*sandbox.command(self.folder / "sandbox", {}, [
            UNPACKED / BINARY, "-C", self.folder / "sendmail.cf", "-bD", "-q1h", "-X", self.folder / "traffic"]))
