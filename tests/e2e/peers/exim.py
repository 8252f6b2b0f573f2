"""Exim, unpacked: takes mail for the users of example.test, offers PIPELINING, STARTTLS, AUTH PLAIN LOGIN, CHUNKING.

settings: {"smtp_accept_max": "1", ...}: main options of its configuration. "acl_rcpt", "acl_data", "acl_connect", ... hold the
text of an ACL that stands before the usual one; "auth" takes the place of the authenticators, "routable" (a domain list) says
which domains it has a route to.
"""
from peers import sandbox
from peers.gateway import DOMAIN, LOGIN, USERS, UNPACKED, Gateway

BINARY = "usr/sbin/exim4"
PHASES = ("connect", "helo", "mail", "rcpt", "predata", "data", "auth", "starttls", "quit", "notquit")
AUTH = f"""\
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{{LOGIN[0]}}}}}{{eq{{$auth3}}{{{LOGIN[1]}}}}}}}}}
  server_set_id = $auth2
login:
  driver = plaintext
  public_name = LOGIN
  server_prompts = Username:: : Password::
  server_condition = ${{if and{{{{eq{{$auth1}}{{{LOGIN[0]}}}}}{{eq{{$auth2}}{{{LOGIN[1]}}}}}}}}}
  server_set_id = $auth1
"""
RCPT = f"""\
  deny domains = ! {DOMAIN}
       ! authenticated = *
       message = relay not permitted
  deny local_parts = {" : ".join("! " + user for user in USERS)}
       message = Unknown user
"""


def command(folder, *words):
    """Exim runs itself again as its own user, who need not get through to the checkout: so it stands at `folder`/exim4, which
    has to be its exim_path."""
    binary = folder / "exim4"
    binary.touch()
    return sandbox.command(folder / "sandbox", {binary: UNPACKED / BINARY}, [binary, *words])


class Exim(Gateway):
    name, needs = "exim", (BINARY,)

    def launch(self):
        (port, settings), = self.listeners.items()
        settings = dict(settings)
        acls = {phase: settings.pop(f"acl_{phase}", "") for phase in PHASES}
        acls["rcpt"] += RCPT
        auth, routable = settings.pop("auth", AUTH), settings.pop("routable", "*")
        options = {
            "primary_hostname": "gw.example.test", "exim_path": self.folder / "exim4",
            "daemon_smtp_ports": port, "local_interfaces": "127.0.0.1",
            "spool_directory": self.folder / "spool", "log_file_path": f"{self.folder}/exim.%slog", "pid_file_path": self.folder / "pid",
            "host_lookup": "", "rfc1413_query_timeout": "0s", "dns_dnssec_ok": "-1", "queue_only": "true",
            "tls_advertise_hosts": "*", "tls_certificate": self.certificates.pem("good"),
            "tls_privatekey": self.certificates.key("good"), "auth_advertise_hosts": "*", "message_size_limit": "100K",
            "helo_try_verify_hosts": "", "smtp_accept_keepalive": "false", "timezone": "UTC", "keep_environment": "",
            "exim_user": "mailsink", "exim_group": "mailsink", "never_users": "",
            **{f"acl_smtp_{phase}": f"acl_{phase}" for phase, text in acls.items() if text}, **settings}
        config = self.folder / "exim.conf"
        config.write_text("".join(f"{name} = {value}\n" for name, value in options.items()) + "begin acl\n" +
                          "".join(f"acl_{phase}:\n{text}  accept\n" for phase, text in acls.items() if text) +
                          f"begin routers\nnowhere:\n  driver = redirect\n  domains = {routable}\n  data = :blackhole:\nbegin transports\n"
                          "begin authenticators\n" + auth)
        spool = self.folder / "spool"
        spool.mkdir()
        for path in (spool, self.folder):
            path.chmod(0o777)
        config.chmod(0o644)
        self.spawn(*command(self.folder, "-C", config, "-bdf"))

    def log(self):
        return super().log() + "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("exim.*log")))
