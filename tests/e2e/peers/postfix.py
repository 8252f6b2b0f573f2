"""Postfix: one instance, an smtpd or postscreen for each port. It offers PIPELINING, STARTTLS, AUTH (PLAIN LOGIN CRAM-MD5),
CHUNKING, SMTPUTF8 and DSN, and trusts no address.

settings: {"smtpd_helo_required": "yes", ...}: parameters of that port's service, as in main.cf.
  "postscreen": True   puts postscreen before it; its parameters go to both.
  "cleanup": {...}     parameters of its cleanup service (header_checks, body_checks).
  "files": {name: text} files that parameters name as {dir}/name, with {dir} in the values.
"""
import os

from lib.postfix import Postfix as Instance
from peers.gateway import DOMAIN, LOGIN, USERS, Gateway

MAIN = {
    "mynetworks": "10.255.255.255/32",   # 127/8 is where all senders of the tests come from: strangers
    "relay_domains": DOMAIN,
    "relay_recipient_maps": "texthash:{dir}/users",
    "smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
    "smtpd_peername_lookup": "no",       # the machine's resolver is no part of the tests
    "smtpd_client_event_limit_exceptions": "",
    "anvil_rate_time_unit": "1h",
    "show_user_unknown_table_name": "yes",
    "message_size_limit": "100000",
    "smtpd_reject_unlisted_recipient": "yes",
    "smtpd_error_sleep_time": "0",
    "smtpd_forbid_bare_newline": "no",
    "smtp_dns_support_level": "disabled",
    "smtp_host_lookup": "native",
    "postscreen_cache_map": "",
}
POSTSCREEN = "tlsproxy unix - - n - 0 tlsproxy\ndnsblog unix - - n - 0 dnsblog\n"


class Postfix(Gateway):
    name, needs, shared = "postfix", ("postfix", "saslpasswd2", "openssl"), True

    def launch(self):
        base = self.folder / "instance"
        (self.folder / "users").write_text("".join(f"{user}@{DOMAIN} ok\n" for user in USERS))
        services = POSTSCREEN + "".join(self._service(port, settings) for port, settings in self.listeners.items())
        main = MAIN | {"smtpd_tls_cert_file": self.certificates.pem("good"), "smtpd_tls_key_file": self.certificates.key("good")}
        self.instance = Instance(base, services, {k: str(v).replace("{dir}", str(self.folder)) for k, v in main.items()})
        self.log_path = self.instance.log_path
        for path in self.folder.iterdir():
            if path.is_file():
                os.chmod(path, 0o644)
        self.instance.start()

    def _service(self, port, settings):
        """The lines of master.cf for one port: smtpd, or postscreen and the smtpd that it passes connections to."""
        folder = self.folder / str(port)
        folder.mkdir(mode=0o755)
        own = {k: v for k, v in settings.items() if k not in ("postscreen", "files")}
        for name, text in settings.get("files", {}).items():
            (folder / name).write_text(text)
        cleanup = ""
        if checks := own.pop("cleanup", None):
            own["cleanup_service_name"] = f"clean{port}"
            cleanup = f"clean{port} unix n - n - 0 cleanup\n" + self._options(checks, folder)
        if settings.get("postscreen"):
            own |= {"smtpd_service_name": f"pass{port}", "postscreen_cache_map": f"btree:$data_directory/cache{port}"}
        options = self._options(own, folder)
        if settings.get("postscreen"):
            return f"127.0.0.1:{port} inet n - n - 1 postscreen\n{options}pass{port} pass - - n - - smtpd\n{options}{cleanup}"
        return f"127.0.0.1:{port} inet n - n - 100 smtpd\n{options}{cleanup}"

    @staticmethod
    def _options(parameters, folder):
        return "".join(f"  -o {{ {name} = {str(value).replace('{dir}', str(folder))} }}\n" for name, value in parameters.items())

    def stop(self):
        self.instance.stop()


assert LOGIN == ("joe@example.test", "correct-horse")  # what lib.postfix puts into its sasldb
