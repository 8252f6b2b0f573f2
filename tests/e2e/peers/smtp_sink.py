"""smtp-sink, Postfix's test server: takes everything but what its options say. It knows no STARTTLS and no AUTH.

settings: {"args": ["-f", "RCPT"]}: its options. -f refuses (500), -r puts off (450), -q closes without a reply, -Q answers 421
and closes, -W CMD:seconds waits, -e speaks HELO only, -B greets with a text of one's own, and so on: smtp-sink(1).
"""
from peers.gateway import Gateway


class SmtpSink(Gateway):
    name, needs = "smtp-sink", ("smtp-sink",)

    def launch(self):
        for port, settings in self.listeners.items():
            self.spawn("smtp-sink", "-u", "nobody", *settings.get("args", ()), f"127.0.0.1:{port}", "100")
