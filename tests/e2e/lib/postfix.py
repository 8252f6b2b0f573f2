"""A Postfix of the test's own: configuration, queue and log in a temporary folder, on a port of its own. Needs root.

Takes mail for example.test and throws it away (transport discard); offers STARTTLS with a certificate of its own, AUTH
PLAIN LOGIN CRAM-MD5 (user joe, password PASSWORD), PIPELINING, 8BITMIME, CHUNKING. `services` (lines of master.cf) and
`settings` (main.cf, over what stands here) make it another.
"""
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

from lib.smtpscope import free_port

PASSWORD = "correct-horse"
MASTER = """\
{listen} inet n - n - 100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""

POSTSCREEN = """\
{listen} inet n - n - 1 postscreen
smtpd pass - - n - - smtpd
dnsblog unix - - n - 0 dnsblog
tlsproxy unix - - n - 0 tlsproxy
"""

# Over what stands in Postfix below.
IN_NAMESPACE = """\
inet_interfaces = all
inet_protocols = all
smtpd_peername_lookup = no
smtpd_client_port_logging = yes
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
relay_transport = virtual:
virtual_mailbox_domains =
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
"""


class Postfix:
    def __init__(self, folder, services="", settings=None, namespace=None, postscreen=False):
        """On a free port of 127.0.0.1; or in a network namespace, on port 25 of all its addresses, as open to strangers as a
        gateway is: with mail for example.test only, which it keeps (see mails()).
        `postscreen`: it stands before smtpd and knows nobody."""
        self.folder, self.namespace = Path(folder), namespace
        self.wrapper = ("ip", "netns", "exec", namespace) if namespace else ()
        self.port = 25 if namespace else free_port()
        self.config, self.log_path = self.folder / "config", self.folder / "maillog"
        self.config.mkdir(parents=True)
        for path in [self.folder, *self.folder.parents]:  # its daemons run as user postfix and must get through
            if path == Path("/tmp") or path == Path("/"):
                break
            os.chmod(path, 0o755)
        self._sasl()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=gw.example.test",
                        "-keyout", str(self.config / "key.pem"), "-out", str(self.config / "cert.pem")],
                       check=True, capture_output=True)
        listen = "25" if namespace else f"127.0.0.1:{self.port}"
        master = MASTER.replace(MASTER.splitlines()[0] + "\n", POSTSCREEN) if postscreen else MASTER
        (self.config / "master.cf").write_text(master.format(listen=listen) + services)
        main = f"""\
compatibility_level = 3.6
myhostname = gw.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
queue_directory = {self.folder}/queue
data_directory = {self.folder}/data
maillog_file = {self.log_path}
maillog_file_prefixes = {self.folder}
mynetworks = 127.0.0.0/8
relay_domains = example.test
relay_recipient_maps =
alias_maps =
alias_database =
local_recipient_maps =
default_transport = discard:
relay_transport = discard:
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_tls_security_level = may
smtpd_tls_cert_file = {self.config}/cert.pem
smtpd_tls_key_file = {self.config}/key.pem
smtpd_sasl_auth_enable = yes
smtpd_sasl_local_domain = example.test
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {self.config}/sasl
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
postscreen_access_list =
postscreen_greet_action = enforce
{IN_NAMESPACE.format(folder=self.folder) if namespace else ""}"""
        # Each parameter once: postlogd warns of the second in its own socket, and waits for itself when that is full.
        lines = dict(line.split(" =", 1) for line in main.splitlines()) | {k: f" {v}" for k, v in (settings or {}).items()}
        (self.config / "main.cf").write_text("".join(f"{name} ={value}\n" for name, value in lines.items()))

    def _sasl(self):
        folder = self.config / "sasl"
        folder.mkdir()
        base = folder / "sasldb2"
        (folder / "smtpd.conf").write_text("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN CRAM-MD5\n"
                                           f"sasldb_path: {base}\n")
        subprocess.run(["saslpasswd2", "-p", "-c", "-f", str(base), "-u", "example.test", "joe"], input=PASSWORD.encode(),
                       check=True, capture_output=True)
        os.chmod(base, 0o644)

    def start(self):
        for name in ("queue", "data", "mail"):
            (self.folder / name).mkdir()
        os.chmod(self.folder / "mail", 0o777)
        shutil.chown(self.folder / "data", "postfix", "postfix")
        done = subprocess.run([*self.wrapper, "postfix", "-c", str(self.config), "start"], capture_output=True, text=True, check=False)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if self._answers():
                return self
            time.sleep(0.1)
        raise AssertionError(f"Postfix does not answer: {done.stdout}{done.stderr}{self.log()[-2000:]}")

    def _answers(self):
        if self.namespace:  # asked without a connection, which would stand in the log
            asked = subprocess.run([*self.wrapper, "ss", "-Hltn", "sport", "=", "25"], capture_output=True, text=True, check=False)
            return bool(asked.stdout.strip())
        with socket.socket() as probe:
            probe.settimeout(20)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0 and probe.recv(10).startswith(b"220")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def taken(self):
        """Queue ids of the mails that came in by SMTP."""
        return re.findall(r"postfix/smtpd\[\d+\]: (\w+): client=", self.log())

    def delivered(self):
        return set(re.findall(r"postfix/discard\[\d+\]: (\w+): .*status=sent", self.log()))

    def mails(self):
        """The messages that a Postfix in a namespace was given, in the order of their arrival, as bytes."""
        paths = sorted((self.folder / "mail" / "box").glob("new/*"), key=lambda path: path.stat().st_mtime_ns)
        return [path.read_bytes() for path in paths]

    def clients(self):
        """(address, port) of all that connected, where Postfix runs in a namespace."""
        return re.findall(r"postfix/smtpd\[\d+\]: connect from \S+?\[(\S+)\]:(\d+)", self.log())

    def stop(self):
        subprocess.run([*self.wrapper, "postfix", "-c", str(self.config), "stop"], capture_output=True, check=False)
