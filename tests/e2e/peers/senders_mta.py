"""Mail servers as senders: Exim and Postfix hand one message to the given gateway, with the settings of a case."""
import smtplib
import time

from lib.postfix import Postfix as Instance
from peers.exim import BINARY, command as exim_command
from peers.gateway import open_to_daemons, program
from peers.senders import BODY, FROM, HELO, LIMIT_S, TO, run

EXIM_CONFIG = """\
primary_hostname = {helo}
exim_path = {folder}/exim4
spool_directory = {folder}/spool
log_file_path = {folder}/exim.%slog
exim_user = mailsink
exim_group = mailsink
keep_environment =
never_users =
host_lookup =
begin routers
home:
  driver = redirect
  domains = sender.example
  data = :blackhole:
out:
  driver = manualroute
  domains = *
  route_list = * 127.0.0.1 byname
  transport = out
  self = send
begin transports
out:
  driver = smtp
  port = {port}
  interface = {source}
  allow_localhost
  hosts_avoid_tls = *
{options}begin retry
* * F,1h,15m
"""


def exim(to=(TO,), mail_from=FROM, body=BODY, times=1, **options):
    """Exim's own queue runner delivers it, `times` times. `options`: of its smtp transport. It uses BDAT where offered."""
    def send(route):
        open_to_daemons(route.folder)
        (route.folder / "spool").mkdir()
        for path in (route.folder, route.folder / "spool"):
            path.chmod(0o777)
        config = route.folder / "exim.conf"
        config.write_text(EXIM_CONFIG.format(helo=HELO, folder=route.folder, port=route.port, source=route.source,
                                             options="".join(f"  {name} = {value}\n" for name, value in options.items())))
        config.chmod(0o644)
        words = exim_command(route.folder, "-C", config, "-odf", "-oi", "-f", mail_from, *to)
        printed = "".join(run(words, body.replace("\r\n", "\n")) for _ in range(times))
        return printed + (route.folder / "exim.mainlog").read_text(errors="replace")
    send.needs = lambda: "" if program(BINARY) else BINARY
    return send


def postfix(to=TO, mail_from=FROM, body=BODY, **settings):
    """A Postfix of its own, told to relay all to the gateway; it ends when the first delivery came to a status."""
    def send(route):
        own = {"relayhost": f"[{route.host}]:{route.port}", "smtp_bind_address": route.source, "default_transport": "smtp",
               "relay_domains": "", "smtp_helo_name": HELO, "smtp_dns_support_level": "disabled", "smtp_host_lookup": "native",
               "smtp_address_preference": "ipv4", "smtpd_relay_restrictions": "permit_mynetworks, reject", "bounce_queue_lifetime": "0",
               "smtpd_peername_lookup": "no", "transport_maps": "inline:{sender.example=discard:}", **settings}
        instance = Instance(route.folder / "postfix", "smtp unix - - n - - smtp\n", own).start()
        try:
            with smtplib.SMTP("127.0.0.1", instance.port, timeout=LIMIT_S) as client:
                client.sendmail(mail_from, [to], body)
            deadline = time.monotonic() + LIMIT_S
            while "status=" not in instance.log():
                assert time.monotonic() < deadline, f"Postfix delivers nothing:\n{instance.log()[-2000:]}"
                time.sleep(0.1)
            return instance.log()[-1500:]
        finally:
            instance.stop()
    send.needs = lambda: "" if program("postfix") else "postfix"
    return send
