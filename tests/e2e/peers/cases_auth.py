"""Logins that fail, each at a real gateway."""
import base64

from peers.case import Case, gateway_says
from peers.senders import EHLO, LOGIN, QUIT, READ, commands, curl, login, nodemailer, python, script, swaks

WRONG = {"user": LOGIN[0], "pass": "wrong-password"}
SETTINGS = {
    ("postfix", "auth inside TLS"): {"smtpd_tls_auth_only": "yes"},
    ("postfix", "no auth"): {"smtpd_sasl_auth_enable": "no"},
    ("postfix", "auth broken"): {"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": "inet:127.0.0.1:1"},
    ("postfix", "auth demanded"): {"smtpd_recipient_restrictions": "permit_sasl_authenticated, check_client_access texthash:{dir}/all",
                                   "files": {"all": "127.0.0.1 530 5.7.0 Authentication required\n"}},
    ("exim", "auth defers"): {"auth": "plain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n"
                                      "  server_condition = ${lookup{x}lsearch{/nowhere/passwords}}\n"},
    ("haraka", "auth"): {"plugins": "auth/flat_file"},
    ("aiosmtpd", "auth"): {"auth_required": True, "auth_require_tls": False},
    ("aiosmtpd", "auth inside TLS"): {"tls": "good"},
}
PLAIN = base64.b64encode(b"\0joe@example.test\0correct-horse").decode()

CASES = [
    Case("wrong password, Postfix, swaks", "postfix", "plain", swaks(*login("LOGIN", password="wrong-password")), "auth-failed", "auth", "sender",
         gateway_says("535 5.7.8")),
    Case("wrong password, Postfix, curl", "postfix", "plain", curl("--user", f"{LOGIN[0]}:wrong", "--login-options", "AUTH=CRAM-MD5"), "auth-failed", "auth",
         "sender", gateway_says("535 5.7.8")),
    Case("wrong password, Exim, nodemailer", "exim", "plain", nodemailer({"auth": WRONG}), "auth-failed", "auth", "sender", gateway_says("535 Incorrect")),
    Case("wrong password, Haraka, nodemailer", "haraka", "auth", nodemailer({"auth": WRONG, "authMethod": "LOGIN"}), "auth-failed", "auth", "sender",
         gateway_says("535 ")),
    Case("wrong password, aiosmtpd, smtplib", "aiosmtpd", "auth", python(lambda client, _: client.login(LOGIN[0], "wrong")), "auth-failed", "auth", "sender",
         gateway_says("535 5.7.8")),
    # Login in the clear where it is allowed only inside TLS. Postfix knows no AUTH then, and says no more.
    Case("login in the clear, Postfix", "postfix", "auth inside TLS", script(*EHLO, f"AUTH PLAIN {PLAIN}\r\n", READ, *QUIT), "auth-not-offered", "auth", "sender",
         gateway_says("503 5.5.1")),
    Case("login in the clear, aiosmtpd", "aiosmtpd", "auth inside TLS", script(*EHLO, f"AUTH PLAIN {PLAIN}\r\n", READ, *QUIT), "auth-needs-tls", "auth", "sender",
         gateway_says("538 5.7.11")),
    Case("login in the clear, chasquid", "chasquid", "plain", script(*EHLO, f"AUTH PLAIN {PLAIN}\r\n", READ, *QUIT), "auth-needs-tls", "auth", "sender",
         gateway_says("503 5.7.10")),
    Case("no login here, Postfix", "postfix", "no auth", python(commands("EHLO mx.sender.example", f"AUTH PLAIN {PLAIN}")), "auth-not-offered", "auth", "sender",
         gateway_says("503 5.5.1")),
    Case("no login here, Haraka", "haraka", "plain", python(commands("EHLO mx.sender.example", f"AUTH PLAIN {PLAIN}")), "auth-not-offered", "auth", "sender",
         gateway_says("500 ")),
    Case("unknown mechanism, Postfix", "postfix", "plain", python(commands("EHLO mx.sender.example", "AUTH NTLM")), "auth-mechanism", "auth", "sender",
         gateway_says("535 5.7.8")),
    Case("unknown mechanism, Exim", "exim", "plain", python(commands("EHLO mx.sender.example", "AUTH NTLM")), "auth-mechanism", "auth", "sender",
         gateway_says("504 NTLM")),
    Case("unknown mechanism, aiosmtpd", "aiosmtpd", "auth", python(commands("EHLO mx.sender.example", "AUTH NTLM")), "auth-mechanism", "auth", "sender",
         gateway_says("504 5.5.4")),
    Case("twice, Exim", "exim", "plain", script(*EHLO, f"AUTH PLAIN {PLAIN}\r\n", READ, f"AUTH PLAIN {PLAIN}\r\n", READ, *QUIT), "auth-out-of-order", "auth", "sender",
         gateway_says("503 already authenticated")),
    # The password file is not there.
    Case("passwords out of reach, Exim", "exim", "auth defers", swaks(*login("PLAIN")), "auth-temporary", "auth", "gateway", gateway_says("435 ")),
    Case("login demanded, Postfix", "postfix", "auth demanded", swaks(), "auth-required", "rcpt", "policy", gateway_says("530 5.7.0")),
    Case("login demanded, aiosmtpd", "aiosmtpd", "auth", nodemailer(), "auth-required", "mail", "policy", gateway_says("530 5.7.0")),
    # Nothing broke: relayed for whoever has logged in.
    Case("login and relay", "postfix", "plain", swaks(*login("CRAM-MD5"), to="x@elsewhere.test")),
    Case("login, nodemailer", "haraka", "auth", nodemailer({"auth": {"user": LOGIN[0], "pass": LOGIN[1]}})),
    Case("login, Exim, curl", "exim", "plain", curl("--user", ":".join(LOGIN))),
]
