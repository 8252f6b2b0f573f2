"""Real mail servers and clients for the end-to-end tests: a file a gateway, the senders, and tables of cases.

GATEWAYS has the classes by name. All are used alike (gateway.py says more):

    missing = GATEWAYS["exim"].missing()        # "" or what this machine lacks
    gateway = GATEWAYS["exim"](folder, certificates)
    host, port = gateway.start(port, settings)  # settings: what the gateway's own file documents, {} takes mail for example.test
    gateway.log()                               # text
    gateway.stop()
"""
from peers.aiosmtpd_gateway import Aiosmtpd
from peers.chasquid import Chasquid
from peers.exim import Exim
from peers.gateway import Nothing
from peers.haraka import Haraka
from peers.opensmtpd import OpenSmtpd
from peers.postfix import Postfix
from peers.sendmail import Sendmail
from peers.smtp_sink import SmtpSink

GATEWAYS = {cls.name: cls for cls in (Postfix, Exim, OpenSmtpd, Sendmail, Chasquid, Haraka, Aiosmtpd, SmtpSink, Nothing)}
