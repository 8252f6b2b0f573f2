"""Certificates for gateways: one CA of the test's own, which no system trusts, and what it signed.

Names: "good" (gw.example.test), "expired", "othername" (other.example.test), "ecdsa", "selfsigned". Each has NAME.pem and
NAME.key in the folder; "ca.pem" is the CA. All keys are readable for the daemons, which give up root.
"""
import datetime
import os
import subprocess
from pathlib import Path

CA_CONFIG = """\
[ca]
default_ca = d
[d]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = p
unique_subject = no
copy_extensions = copy
[p]
commonName = supplied
"""


def openssl(*words):
    done = subprocess.run(["openssl", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"openssl {' '.join(map(str, words))}: {done.stderr}"


class Certificates:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        (self.folder / "ca.conf").write_text(CA_CONFIG.format(folder=self.folder))
        (self.folder / "index").touch()
        (self.folder / "serial").write_text("01\n")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 30, "-subj", "/CN=Test CA", "-keyout",
                self.key("ca"), "-out", self.pem("ca"))
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 30, "-subj", "/CN=gw.example.test", "-addext",
                "subjectAltName=DNS:gw.example.test", "-keyout", self.key("selfsigned"), "-out", self.pem("selfsigned"))
        today = datetime.datetime.utcnow()
        self._sign("good", "gw.example.test", today - datetime.timedelta(1), today + datetime.timedelta(30))
        self._sign("expired", "gw.example.test", today - datetime.timedelta(60), today - datetime.timedelta(30))
        self._sign("othername", "other.example.test", today - datetime.timedelta(1), today + datetime.timedelta(30))
        self._sign("ecdsa", "gw.example.test", today - datetime.timedelta(1), today + datetime.timedelta(30),
                   ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"))
        for path in self.folder.iterdir():
            os.chmod(path, 0o644)

    def _sign(self, name, host, begin, end, key=("-newkey", "rsa:2048")):
        request = self.folder / f"{name}.csr"
        openssl("req", "-new", *key, "-nodes", "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout",
                self.key(name), "-out", request)
        openssl("ca", "-batch", "-config", self.folder / "ca.conf", "-cert", self.pem("ca"), "-keyfile", self.key("ca"), "-in",
                request, "-out", self.pem(name), "-notext", "-startdate", f"{begin:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}")

    def pem(self, name):
        return self.folder / f"{name}.pem"

    def key(self, name):
        return self.folder / f"{name}.key"
