"""Real senders. Each function gives back send(route), which runs the sender to its end and returns what it printed.

None of them fails when its mail is refused: what came of it is read from the transcript. A sender that cannot run at all
(bad option, missing program) raises AssertionError.
"""
import json
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import time
from pathlib import Path

from peers import node
from peers.gateway import LOGIN, source_socket

TO, FROM, HELO = "joe@example.test", "ann@sender.example", "mx.sender.example"
LIMIT_S = 60
BODY = "From: ann@sender.example\r\nTo: joe@example.test\r\nSubject: test\r\n\r\nhello\r\n"


def body_of(size):
    """A message of about `size` bytes in short lines."""
    return BODY + "".join("x" * 70 + "\r\n" for _ in range(size // 72))


def run(command, text=None, kill_after=None, usage=()):
    """The program's output; `usage`: exit codes that mean it did not even try. kill_after: SIGKILL after so many seconds."""
    assert shutil.which(command[0]), f"no {command[0]} here"
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace")
    try:
        printed, _ = process.communicate(text, timeout=kill_after or LIMIT_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        printed, _ = process.communicate()
        assert kill_after, f"{command[0]} did not end within {LIMIT_S} s:\n{printed[-2000:]}"
    assert process.returncode not in usage, f"{' '.join(map(str, command))}:\n{printed[-2000:]}"
    return printed


def swaks(*options, to=TO, mail_from=FROM, helo=HELO, body=None, kill_after=None):
    def send(route):
        words = ["swaks", "--server", route.host, "--port", route.port, "--local-interface", route.source, "--from", mail_from,
                 "--to", to, "--helo", helo, *[str(word).replace("{certs}", str(route.certificates.folder)) for word in options]]
        if body is not None:
            (route.folder / "body").write_bytes(body.encode("latin-1"))
            words += ["--data", f"@{route.folder}/body"]
        return run(words, kill_after=kill_after, usage=(1,))
    return send


def curl(*options, to=(TO,), mail_from=FROM, body=BODY, scheme="smtp", path=f"/{HELO}", kill_after=None):
    """curl announces SIZE=, gives up at the first refused recipient and closes without QUIT when it runs out of time."""
    def send(route):
        (route.folder / "body").write_bytes(body.encode("latin-1"))
        words = ["curl", "-sv", "--interface", route.source, f"{scheme}://{route.host}:{route.port}{path}", "--noproxy", "*",
                 *[str(word).replace("{certs}", str(route.certificates.folder)).replace("{port}", str(route.port)) for word in options]]
        if scheme.startswith("smtp"):
            words += ["--mail-from", mail_from, "-T", route.folder / "body"]
            for address in to:
                words += ["--mail-rcpt", address]
        return run(words, kill_after=kill_after, usage=(2, 3) if scheme == "http" else (1, 2, 3))
    return send


def http(route):
    """A web client on the mail port."""
    return curl(scheme="http", path="/index.html")(route)


def openssl(*options, starttls=True, text=""):
    """openssl s_client; what it reads from `text` goes through the tunnel."""
    def send(route):
        words = ["openssl", "s_client", "-connect", f"{route.host}:{route.port}", "-bind", route.source, "-ign_eof",
                 *(("-starttls", "smtp", "-name", HELO) if starttls else ()),
                 *[str(word).replace("{certs}", str(route.certificates.folder)) for word in options]]
        return run(words, text)
    return send


def nodemailer(transport=None, mail=None, kill_after=None):
    """`transport` and `mail` are nodemailer's own options, over plain defaults."""
    program = Path(__file__).with_name("nodemailer_send.js")

    def send(route):
        settings = {"host": route.host, "port": route.port, "localAddress": route.source, "name": HELO, "secure": False,
                    "ignoreTLS": True, **json.loads(json.dumps(transport or {}).replace("{certs}", str(route.certificates.folder)))}
        message = {"from": FROM, "to": TO, "subject": "test", "text": "hello", **(mail or {})}
        return run(["node", program, node.MODULES / "nodemailer"], json.dumps({"transport": settings, "mail": message}), kill_after, usage=(2,))
    send.needs = node.missing
    return send


def python(action, timeout=20, connect=True):
    """smtplib: action(client, route). What it raises when the server refuses or leaves ends the session as smtplib ends it."""
    def send(route):
        client = smtplib.SMTP(local_hostname=HELO, timeout=timeout, source_address=(route.source, 0))
        try:
            if connect:
                client.connect(route.host, route.port)
            action(client, route)
            client.quit()
        except (smtplib.SMTPException, ssl.SSLError, OSError) as error:
            return repr(error)
        finally:
            client.close()
        return "done"
    return send


def mail(client, route, to=(TO,), body=BODY, options=(), rcpt_options=()):
    """The usual mail of smtplib: action for python()."""
    client.sendmail(FROM, list(to), body, options, rcpt_options)


def commands(*lines):
    """An application that speaks SMTP by smtplib's docmd, one reply awaited for each line, whatever it is."""
    def action(client, route):
        for line in lines:
            client.docmd(line)
    return action


def script(*steps, timeout=20):
    """A home-made client, as shell scripts and devices are: str and bytes are sent at once, numbers are seconds to sleep, READ
    awaits one reply, UNTIL_CLOSE reads until the server is gone. It ends with a plain close."""
    def send(route):
        seen = []
        with source_socket((route.host, route.port), route.source, timeout) as sock, sock.makefile("rb") as stream:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for step in steps:
                    if isinstance(step, (int, float)):
                        time.sleep(step)
                    elif step is READ:
                        while (line := stream.readline()):
                            seen.append(line)
                            if line[3:4] != b"-":
                                break
                    elif step is UNTIL_CLOSE:
                        seen.append(stream.read())
                    else:
                        sock.sendall(step if isinstance(step, bytes) else step.encode())
            except OSError as error:
                seen.append(repr(error).encode())
        return b"".join(seen).decode("latin-1")
    return send


READ, UNTIL_CLOSE = object(), object()
EHLO = (READ, f"EHLO {HELO}\r\n", READ)
ENVELOPE = (*EHLO, f"MAIL FROM:<{FROM}>\r\n", READ, f"RCPT TO:<{TO}>\r\n", READ)
DATA = (*ENVELOPE, "DATA\r\n", READ)
QUIT = ("QUIT\r\n", READ)


def login(mechanism, user=LOGIN[0], password=LOGIN[1]):
    """Options of swaks."""
    return ("--auth", mechanism, "--auth-user", user, "--auth-password", password)
