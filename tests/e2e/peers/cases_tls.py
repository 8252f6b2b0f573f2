"""STARTTLS refused, and handshakes that fail: certificates, versions, ciphers. TLS 1.2 where the alert is to be readable."""
from peers.case import ALERT, Case, gateway_says, sender_says
from peers.senders import EHLO, HELO, READ, UNTIL_CLOSE, commands, curl, nodemailer, openssl, python, script, swaks

OLD = {"smtpd_tls_mandatory_protocols": ">=TLSv1.2", "smtpd_tls_protocols": ">=TLSv1.2"}
SETTINGS = {
    ("postfix", "tls only"): {"smtpd_tls_security_level": "encrypt"},
    ("postfix", "no tls"): {"smtpd_tls_security_level": "none"},
    ("postfix", "key missing"): {"smtpd_tls_key_file": "/nowhere/key.pem"},
    ("postfix", "expired"): {"smtpd_tls_cert_file": "{certs}/expired.pem", "smtpd_tls_key_file": "{certs}/expired.key"},
    ("postfix", "new versions"): OLD,
    ("postfix", "ecdsa"): {"smtpd_tls_cert_file": "", "smtpd_tls_key_file": "", "smtpd_tls_eccert_file": "{certs}/ecdsa.pem",
                           "smtpd_tls_eckey_file": "{certs}/ecdsa.key"},
    ("exim", "key missing"): {"tls_privatekey": "/nowhere/key.pem"},
    ("opensmtpd", "tls"): {"listen": "tls pki gw"},
    ("opensmtpd", "tls only"): {"listen": "tls-require pki gw"},
    ("haraka", "tls"): {"plugins": "tls"},
    ("aiosmtpd", "tls only"): {"tls": "good", "require_starttls": True},
    ("aiosmtpd", "othername"): {"tls": "othername"},
    ("aiosmtpd", "client certificate"): {"tls": "good", "client_ca": "ca"},
}


def starttls(client, route, **settings):
    import ssl
    context = ssl.create_default_context(cafile=str(route.certificates.pem("ca")))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client._host = "gw.example.test"  # the name that the certificate is checked against
    client.starttls(context=context)


CASES = [
    Case("TLS demanded, Postfix", "postfix", "tls only", swaks(), "tls-required", "mail", "policy", gateway_says("530 5.7.0")),
    Case("TLS demanded, OpenSMTPD", "opensmtpd", "tls only", nodemailer(), "tls-required", "mail", "policy", gateway_says("530 5.5.1")),
    Case("TLS demanded, aiosmtpd", "aiosmtpd", "tls only", curl(), "tls-required", "mail", "policy", gateway_says("530 Must issue")),
    Case("STARTTLS unknown, Postfix", "postfix", "no tls", python(commands(f"EHLO {HELO}", "STARTTLS")), "starttls-refused", "starttls", "gateway",
         gateway_says("502 5.5.1")),
    Case("STARTTLS unknown, smtp-sink", "smtp-sink", "mail refused", python(commands(f"EHLO {HELO}", "STARTTLS")), "starttls-refused", "starttls", "gateway",
         gateway_says("500 ")),
    Case("STARTTLS broken, Postfix", "postfix", "key missing", nodemailer({"ignoreTLS": False, "requireTLS": True}), "starttls-unavailable", "starttls", "gateway",
         gateway_says("454 4.7.0")),
    Case("STARTTLS broken, Exim", "exim", "key missing", swaks("-tls"), "starttls-unavailable", "starttls", "gateway", gateway_says("454 TLS")),
    # The sender's alert names what it has against the certificate.
    Case("unknown CA, curl", "postfix", "plain", curl("--ssl-reqd", "--tls-max", "1.2"), "tls-unknown-ca", "tls", "gateway", sender_says(ALERT)),
    # nodemailer judges the certificate when the handshake is done, and closes without an alert.
    Case("unknown CA, nodemailer", "exim", "plain", nodemailer({"ignoreTLS": False, "requireTLS": True, "tls": {"maxVersion": "TLSv1.2"}}),
         "tls-closed-on-certificate", "tls", "gateway", sender_says("fin")),
    Case("expired, curl", "postfix", "expired", curl("--ssl-reqd", "--tls-max", "1.2", "--cacert", "{certs}/ca.pem"), "tls-certificate-expired", "tls", "gateway",
         sender_says(ALERT)),
    Case("wrong name, smtplib", "aiosmtpd", "othername", python(starttls), "tls-certificate-rejected", "tls", "gateway", sender_says(ALERT)),
    # OpenSSL's client sends this alert in the clear in TLS 1.3 too.
    Case("unknown CA, curl, TLS 1.3", "postfix", "plain", curl("--ssl-reqd", "--tlsv1.3"), "tls-unknown-ca", "tls", "gateway", sender_says(ALERT)),
    Case("old version, openssl", "postfix", "new versions", openssl("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "tls-version", "tls", "sender", gateway_says(ALERT)),
    # The gateway has nothing but an ECDSA certificate.
    Case("no common cipher, openssl", "postfix", "ecdsa", openssl("-tls1_2", "-cipher", "AES128-SHA256"), "tls-no-common-cipher", "tls", "gateway", gateway_says(ALERT)),
    # Python's asyncio closes before its alert is out.
    Case("client certificate, openssl", "aiosmtpd", "client certificate", openssl("-tls1_2"), "tls-client-certificate", "tls", "gateway", gateway_says("fin")),
    Case("cleartext behind STARTTLS, Postfix", "postfix", "plain", script(*EHLO, "STARTTLS\r\n", READ, f"EHLO {HELO}\r\n", UNTIL_CLOSE), "tls-not-client-hello", "tls",
         "sender", sender_says(f"EHLO {HELO}", 2)),
    Case("nothing behind STARTTLS", "exim", "plain", script(*EHLO, "STARTTLS\r\n", READ, 0.5), "tls-not-begun", "tls", "sender", sender_says("fin")),
    # Debian's OpenSMTPD ends every handshake with alert 80.
    Case("internal error, OpenSMTPD", "opensmtpd", "tls", swaks("-tls", "--tls-protocol", "tlsv1_2"), "tls-internal-error", "tls", "gateway", gateway_says(ALERT)),
    # Nothing broke, as far as can be seen: what passes inside TLS is hidden.
    Case("STARTTLS, Postfix, swaks", "postfix", "plain", swaks("-tls"), verdict="unknown"),
    Case("STARTTLS, Haraka, nodemailer", "haraka", "tls", nodemailer({"ignoreTLS": False, "requireTLS": True, "tls": {"rejectUnauthorized": False}}), verdict="unknown"),
    # swaks insists on TLS and leaves, which a health check would do as well: a note.
    Case("STARTTLS not offered, swaks", "postfix", "no tls", swaks("-tls"), verdict="no-mail", notes=("tls-not-offered",)),
]
