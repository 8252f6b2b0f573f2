"""aiosmtpd, Python's SMTP server, as applications embed it; a handler throws the mail away.

settings: arguments of aiosmtpd.smtp.SMTP ({"data_size_limit": 1000, "timeout": 2, "auth_required": True, ...}); "tls": a name
of Certificates, offers STARTTLS; "client_ca": demands a certificate of this CA's; "handler": the class in place of TakesAll.
"""
import asyncio
import ssl

from peers.gateway import DOMAIN, LOGIN, USERS, ThreadGateway


class TakesAll:
    """Knows the users of example.test, refuses others in words of its own."""

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        local, _, domain = address.rpartition("@")
        if domain != DOMAIN:
            return "550 5.7.1 relaying denied"
        if local not in USERS:
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        return "250 2.0.0 OK queued as 1"


class Aiosmtpd(ThreadGateway):
    name = "aiosmtpd"

    @classmethod
    def missing(cls):
        try:
            import aiosmtpd  # noqa: F401
        except ImportError:
            return "python3-aiosmtpd"
        return ""

    def run(self, port, settings):
        asyncio.run(self._serve(port, dict(settings)))

    async def _serve(self, port, settings):
        from aiosmtpd.smtp import SMTP, AuthResult
        certificate, handler = settings.pop("tls", None), settings.pop("handler", TakesAll)
        if certificate:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self.certificates.pem(certificate), self.certificates.key(certificate))
            if client_ca := settings.pop("client_ca", None):
                context.verify_mode = ssl.CERT_REQUIRED
                context.load_verify_locations(self.certificates.pem(client_ca))
            settings["tls_context"] = context

        def check(server, session, envelope, mechanism, data):
            good = (data.login.decode(), data.password.decode()) == LOGIN
            return AuthResult(success=good, handled=False)
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(handler(), hostname="gw.example.test", authenticator=check, **settings), "127.0.0.1", port)
        async with server:
            while not self.stopping.is_set():
                await asyncio.sleep(0.1)
