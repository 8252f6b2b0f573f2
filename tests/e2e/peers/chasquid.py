"""chasquid: local users of example.test and their mail to /bin/true. STARTTLS on, AUTH PLAIN only inside TLS.

settings: {"max_data_size_mb": 1, ...}: lines of chasquid.conf.
"""
import subprocess

from peers.gateway import DOMAIN, LOGIN, USERS, UNPACKED, Gateway

BINARY = "usr/bin/chasquid"


class Chasquid(Gateway):
    name, needs = "chasquid", (BINARY,)

    def launch(self):
        (port, settings), = self.listeners.items()
        config = self.folder / "config"
        users = config / "domains" / DOMAIN / "users"
        users.parent.mkdir(parents=True)
        host = config / "certs" / "gw.example.test"
        host.mkdir(parents=True)
        (host / "fullchain.pem").write_bytes(self.certificates.pem("good").read_bytes())
        (host / "privkey.pem").write_bytes(self.certificates.key("good").read_bytes())
        lines = {"hostname": '"gw.example.test"', "smtp_address": f'"127.0.0.1:{port}"', "mail_delivery_agent_bin": '"/bin/true"',
                 "data_dir": f'"{self.folder}/data"', "mail_log_path": f'"{self.folder}/mail.log"', **settings}
        (config / "chasquid.conf").write_text("".join(f"{name}: {value}\n" for name, value in lines.items()))
        for user in USERS:
            done = subprocess.run([UNPACKED / "usr/bin/chasquid-util", f"--configdir={config}", "user-add", f"{user}@{DOMAIN}",
                                   f"--password={LOGIN[1]}"], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"chasquid-util: {done.stdout}{done.stderr}"
        self.spawn(UNPACKED / BINARY, f"--config_dir={config}", cwd=self.folder)
