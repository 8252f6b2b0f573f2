"""Haraka (npm): a plugin of the test's own knows the users of example.test, the queue plugin "discard" throws the mail away.

settings: {"plugins": "tls\nauth/flat_file\n..."}: lines before the usual plugins; "config": {file: text} of its config folder;
"max_bytes": the size limit; "plugin": {name: JavaScript}: plugins of one's own.
"""
import json
import shutil

from peers import node
from peers.gateway import DOMAIN, LOGIN, USERS, Gateway

USERS_PLUGIN = """\
exports.hook_rcpt = function (next, connection, params) {
  const rcpt = params[0];
  if (rcpt.host !== %s) return next();
  return %s.includes(rcpt.user) ? next(OK) : next(DENY, 'no such user here');
};
"""


class Haraka(Gateway):
    name = "haraka"

    @classmethod
    def missing(cls):
        return node.missing()

    def launch(self):
        (port, settings), = self.listeners.items()
        config, plugins = self.folder / "config", self.folder / "plugins"
        config.mkdir()
        plugins.mkdir()
        files = {
            "connection.ini": (node.MODULES / "Haraka" / "config" / "connection.ini").read_text().replace(
                "bytes=26214400", f"bytes={settings.get('max_bytes', 26214400)}"),
            "smtp.ini": f"listen=127.0.0.1:{port}\n[headers]\n", "me": "gw.example.test\n", "loglevel": "INFO\n", "log.ini": "level=info\n",
            "host_list": f"{DOMAIN}\n", "auth_flat_file.ini": f"[core]\nmethods=PLAIN,LOGIN,CRAM-MD5\n[users]\n{LOGIN[0]}={LOGIN[1]}\n",
            "tls.ini": f"key=tls_key.pem\ncert=tls_cert.pem\n",
            **settings.get("config", {}),
            "plugins": settings.get("plugins", "") + "\nusers\nqueue/discard\n"}
        for name, text in files.items():
            (config / name).write_text(text)
        shutil.copy(self.certificates.pem("good"), config / "tls_cert.pem")
        shutil.copy(self.certificates.key("good"), config / "tls_key.pem")
        for name, text in ({"users": USERS_PLUGIN % (json.dumps(DOMAIN), json.dumps(USERS))} | settings.get("plugin", {})).items():
            (plugins / f"{name}.js").write_text(text)
        (self.folder / "queue").mkdir()
        self.spawn("node", node.MODULES / "Haraka" / "bin" / "haraka", "-c", self.folder, env={"YES_REALLY_DO_DISCARD": "1"})
