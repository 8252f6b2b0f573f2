"""Mail through a diverted host: what the gateway sees, what strangers notice (nothing), and that mail goes on whatever ends."""
import asyncio
import json
import shutil
import signal
import socket
import threading
import time
from contextlib import contextmanager

from lib import store
from lib.dns import A, AAAA, SERVFAIL, NameServer, Records
from mail import Mail, network_of, send, without_trace
from topology import CAPTURED, CAPTURED_TOO, EXCLUDED, OUTSIDE


def seen_by_gateway(postfix, address, timeout=5):
    """Waits until the gateway's log has a connection of this address and port."""
    deadline = time.monotonic() + timeout
    while address not in postfix.clients():
        assert time.monotonic() < deadline, f"{address} is not among {postfix.clients()}"
        time.sleep(0.05)


def mails(postfix, count, timeout=10):
    deadline = time.monotonic() + timeout
    while len(postfix.mails()) < count:
        assert time.monotonic() < deadline, f"{len(postfix.mails())} of {count} mails arrived"
        time.sleep(0.05)
    return postfix.mails()[-2:]


def captured_are_recorded(c):
    """The gateway sees the sender's own address and port, and the sender the very same conversation as without a proxy."""
    c.inline.divert("on")
    c.inline.start()
    for version in (4, 6):
        before = len(c.postfix.mails())
        proxied = send(c.net, c.net.sender(CAPTURED, version))
        direct = send(c.net, c.net.sender(OUTSIDE, version))
        for mail in (proxied, direct):
            seen_by_gateway(c.postfix, mail.address)
        assert proxied.same_replies() == direct.same_replies(), (proxied.replies, direct.replies)
        one, other = mails(c.postfix, before + 2)
        assert without_trace(one) == without_trace(other), (one, other)
        assert without_trace(one).count(b"Bytes"), one
    for transcript in c.inline.transcripts(2):
        store.Validator(c.source).check(transcript)
        assert transcript["verdict"] == "delivered", transcript["summary"]
        gateway = transcript["gateway"]
        assert gateway["sees"] == "sender" and "sees_port" not in gateway, gateway
        assert gateway["ip"] == ("fd88:2::25" if ":" in transcript["sender"]["ip"] else "10.88.2.25"), gateway
        assert gateway["port"] == 25, gateway
        # The first smtpd of a Postfix may take its time to start on a busy host.
        assert all(note["phase"] == "banner" for note in transcript["notes"]), transcript["notes"]
    assert c.inline.recorded() == {c.net.sender(CAPTURED), c.net.sender(CAPTURED, 6)}, c.inline.recorded()


def strangers_pass_by(c):
    """Senders outside, and excluded ones, have no socket on the host in the middle, and leave nothing in the store."""
    c.inline.divert("on")
    c.inline.start()
    for host in (OUTSIDE, EXCLUDED):
        for version in (4, 6):
            source = c.net.sender(host, version)
            mail = Mail(c.net, source).envelope()
            sockets = c.net.run("middle", "ss", "-Htan").stdout
            assert source not in sockets, sockets
            mail.finish()
            seen_by_gateway(c.postfix, mail.address)
    mail = Mail(c.net, c.net.sender(CAPTURED)).envelope()  # of the captured one there are two: the check can see
    sockets = c.net.run("middle", "ss", "-Htan").stdout
    assert sockets.count(f"{c.net.sender(CAPTURED)}:{mail.address[1]}") == 2, sockets
    mail.finish()
    assert c.inline.transcripts(1)[0]["sender"]["ip"] == c.net.sender(CAPTURED)
    assert c.inline.recorded() == {c.net.sender(CAPTURED)}, c.inline.recorded()
    log = c.inline.log()
    assert not any(c.net.sender(host, version) in log for host in (OUTSIDE, EXCLUDED) for version in (4, 6)), log


def one_port_twice(c):
    """A sender comes back at once from the port that it had, and gets it again; a taken port is noted, and mail passes."""
    c.inline.divert("on")
    c.inline.start()
    source = c.net.sender(CAPTURED)
    for _ in range(3):
        send(c.net, source, port=23456)
    assert c.postfix.clients().count((source, "23456")) == 3, c.postfix.clients()
    c.inline.transcripts(3)
    with network_of(c.net.names["middle"]):
        holder = socket.socket()
        holder.setsockopt(socket.SOL_IP, 19, 1)  # IP_TRANSPARENT
        holder.bind((source, 23457))
    mail = send(c.net, source, port=23457)
    holder.close()
    transcript = c.inline.transcripts(4)[-1]
    gateway, notes = transcript["gateway"], [note["code"] for note in transcript["notes"]]
    assert gateway["sees"] == "sender" and gateway["sees_port"] != 23457 and notes == ["sender-port-changed"], (gateway, notes)
    assert mail.address not in c.postfix.clients()
    seen_by_gateway(c.postfix, (source, str(gateway["sees_port"])))


def sessions_in_progress(c):
    """No change of the diversion cuts a session: neither a direct one at `on`, nor a diverted one at a new `on`, at the
    window's end, or at `off`, which then waits for it."""
    source, other = c.net.sender(CAPTURED), c.net.sender(CAPTURED_TOO, 6)
    c.inline.start()
    direct = Mail(c.net, source).envelope()
    c.inline.divert("on")
    diverted = [Mail(c.net, source).envelope(), Mail(c.net, other).envelope()]
    direct.finish()
    c.inline.configure(window="1s", senders=[c.net.sender(CAPTURED)])  # the other one is in it no more
    c.inline.divert("on")
    diverted[1].finish()
    time.sleep(1.2)
    assert c.inline.status()["ended"], c.inline.status()
    late = send(c.net, source)
    stdout, stderr = c.inline.divert("off", "--wait", "0s", status=1)
    assert "1 diverted session is still in progress" in stderr, stdout + stderr
    state = c.inline.status()  # what is waited for is told, and nothing that only looks like a fault
    assert state["state"] == "unfinished" and len(state["differences"]) == 1 and "waits for sessions" in state["differences"][0], state
    assert "senders: none any more; sessions in progress" in c.inline.divert("status", status=1)[0]
    diverted[0].finish()
    c.inline.divert("off")
    c.inline.configure()
    c.inline.divert("on")
    cut = Mail(c.net, source).envelope()
    c.inline.divert("off", "--cut")
    try:
        assert cut.socket.recv(1) == b"", "a session that was cut goes on"
    except ConnectionResetError:
        pass
    diverted.append(cut)
    recorded = sorted(t["sender"]["port"] for t in c.inline.transcripts(3))
    assert recorded == sorted(int(mail.address[1]) for mail in diverted), (recorded, late.address, direct.address)


def window_ends_without_us(c):
    """The kernel forgets the senders on time though the proxy is dead, and a proxy that starts later is not given any."""
    source = c.net.sender(CAPTURED)
    c.inline.configure(window="4s")
    began = time.monotonic()
    c.inline.divert("on")
    on_took = time.monotonic() - began
    c.inline.start()
    send(c.net, source)
    c.inline.transcripts(1)
    c.inline.kill()
    assert c.inline.status()["ends_in_s"] is not None, c.inline.status()
    listed = ("middle", "nft", "list", "set", "inet", "smtpscope", "capture4")
    while "elements" in c.net.run(*listed).stdout:
        assert time.monotonic() - began < 10, "the window does not end"
        time.sleep(0.05)
    lasted = time.monotonic() - began
    assert 4 <= lasted <= 4 + on_took + 1.5, f"a window of 4 s lasted {lasted:.1f} s (`on` took {on_took:.1f} s)"
    c.inline.start()
    send(c.net, source)
    c.inline.stop()
    assert len(store.transcripts(c.inline.store)) == 1, "recorded behind the window"
    c.figures.append(f"a window of 4 s ended after {lasted:.1f} s")


def killed_under_load(c):
    """kill -9 again and again while mail flows: the next connection reaches the gateway within a second, each time."""
    c.inline.divert("on")
    stop, done, broken = threading.Event(), [0], [0]

    def load(version):
        while not stop.is_set():
            try:
                send(c.net, c.net.sender(CAPTURED_TOO, version), timeout=5)
                done[0] += 1
            except (OSError, AssertionError):
                broken[0] += 1
    threads = [threading.Thread(target=load, args=(version,)) for version in (4, 6)]
    slowest = 0
    try:
        for thread in threads:
            thread.start()
        for turn in range(c.kills):
            c.inline.start()
            time.sleep(0.05 * (turn % 5))
            c.inline.kill()
            began = time.monotonic()
            mail = Mail(c.net, c.net.sender(CAPTURED, 4 if turn % 2 else 6), timeout=5)
            assert mail.reply().startswith(b"220"), mail.replies
            slowest = max(slowest, time.monotonic() - began)
            mail.say(b"QUIT")
            mail.close()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert slowest <= 1, f"{slowest:.2f} s until the gateway's greeting"
    assert done[0] > c.kills, f"hardly any load: {done[0]} mails"
    c.figures.append(f"{c.kills} kills under {done[0]} mails ({broken[0]} cut), greeting within {slowest * 1000:.0f} ms")


def not_ours(c):
    """What comes straight to the listener for diverted connections is reset, and the log says so."""
    c.inline.divert("on")
    c.inline.start()
    got = None
    try:
        with network_of(c.net.names["sender"]):
            knock = socket.create_connection(("10.88.2.1" if c.net.bridged else "10.88.1.1", c.inline.port), 5)
        got = knock.recv(10)
    except ConnectionResetError:
        pass
    assert got is None, f"not reset: {got}"
    assert "connected straight to a listener for diverted connections" in c.inline.log()


def windows_divert(c):
    """A window that is opened diverts its senders at once, closed no more; the others stay. It ends with everybody dead."""
    stranger, captured = c.net.sender(OUTSIDE), c.net.sender(CAPTURED)
    c.inline.start()
    assert "smtpscope divert on" in c.inline.window("open", "--sender", "192.0.2.1", "--for", "1h")[1]
    c.inline.divert("on")
    before = c.inline.status()["senders"]
    send(c.net, stranger)
    opened, said = c.inline.window("open", "--sender", stranger, "--for", "1h")
    assert not said and c.inline.status()["senders"] == before + 1, (said, c.inline.status())
    assert not c.inline.status()["differences"], c.inline.status()
    mail = send(c.net, stranger)
    seen_by_gateway(c.postfix, mail.address)
    assert c.inline.transcripts(1)[0]["sender"]["ip"] == stranger
    c.inline.window("close", opened["id"])
    assert c.inline.status()["senders"] == before
    mail = Mail(c.net, stranger).envelope()
    assert stranger not in c.net.run("middle", "ss", "-Htn", "state", "established").stdout
    mail.finish()
    send(c.net, captured)
    assert {t["sender"]["ip"] for t in c.inline.transcripts(2)} == {stranger, captured}
    for number in ("1", "config"):
        closed, said = c.inline.window("close", number)
        assert closed["state"] == "ended" and not said, (closed, said, c.inline.status())
    assert c.inline.status()["senders"] == 0 and not c.inline.status()["differences"], c.inline.status()
    mail = send(c.net, captured)
    seen_by_gateway(c.postfix, mail.address)
    # `divert on` takes the windows that are open, no more; the kernel forgets it on time, whoever is alive.
    opened, _ = c.inline.window("open", "--sender", stranger, "--for", "15s")
    c.inline.divert("on")
    assert c.inline.status()["senders"] == 1 and not c.inline.status()["differences"], c.inline.status()
    c.inline.kill()
    deadline = time.monotonic() + 60
    while c.inline.status()["senders"]:
        assert time.monotonic() < deadline, c.inline.status()
        time.sleep(0.2)
    assert len(c.inline.transcripts(2)) == 2


@contextmanager
def name_server(c, zone):
    """On loopback of the host in the middle; gives ADDRESS:PORT."""
    loop, ready, server = asyncio.new_event_loop(), threading.Event(), []

    def serve():
        with network_of(c.net.names["middle"]):
            server.append(loop.run_until_complete(NameServer(zone).start()))
        ready.set()
        loop.run_forever()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ready.wait(10), "no name server"
        yield f"127.0.0.1:{server[0].port}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server[0].close()
        loop.close()


def diverted(c, version=4):
    return c.net.run("middle", "nft", "list", "set", "inet", "smtpscope", f"capture{version}").stdout


def until(what, told, timeout=40):
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)


def names_divert(c):
    """A name means another address: the kernel follows, with no more than what the proxy may do as a user of its own; sessions in
    progress keep to their way. Behind `divert off` nobody is diverted any more, whatever the name means."""
    old, new, old6 = c.net.sender(CAPTURED), c.net.sender(OUTSIDE), c.net.sender(CAPTURED, 6)
    zone = {("partner.example", A): Records(old, ttl=1), ("partner.example", AAAA): Records(old6, ttl=1)}
    for folder in (c.folder.parent, c.folder, c.inline.folder):
        folder.chmod(0o755)
    binary = c.inline.folder / "smtpscope"
    shutil.copy(c.binary, binary)
    with name_server(c, zone) as resolver:
        c.inline.configure(resolver=resolver, senders=["partner.example"], exclude=[], window="1h")
        c.inline.divert("on")
        c.inline.start("--user", "nobody", program=[str(binary), "run", "--config", str(c.inline.config)])
        until(lambda: "sender partner.example: " in c.inline.log(), c.inline.log)
        held, passing = Mail(c.net, old).envelope(), Mail(c.net, new).envelope()
        zone["partner.example", A] = Records(new, ttl=1)
        until(lambda: new in diverted(c) and old not in diverted(c), lambda: diverted(c) + c.inline.log())
        assert "expires" in diverted(c) and old6 in diverted(c, 6)
        assert not c.inline.status()["differences"], c.inline.status()
        send(c.net, new)
        send(c.net, old)
        for mail in (held, passing):
            mail.finish()
        assert [t["sender"]["ip"] for t in c.inline.transcripts(2)] in ([old, new], [new, old])
        # A name server that fails changes nothing.
        zone["partner.example", A] = zone["partner.example", AAAA] = SERVFAIL
        until(lambda: "cannot be resolved" in c.inline.log(), c.inline.log)
        time.sleep(2)
        assert new in diverted(c) and old6 in diverted(c, 6)
        held = Mail(c.net, new).envelope()
        c.inline.divert("off", "--wait", "0s", status=1)
        zone["partner.example", A] = Records(old, ttl=1)
        zone["partner.example", AAAA] = Records(old6, ttl=1)
        until(lambda: c.inline.log().count(f"sender partner.example: {old}") == 2, c.inline.log)
        time.sleep(2)
        assert "elements" not in diverted(c) + diverted(c, 6), diverted(c)
        held.finish()
        c.inline.divert("off")
    c.inline.stop()


def open_window(c, sender, **more):
    """Over the control socket, with no command beside that knows of the kernel."""
    body = json.dumps({"senders": [sender], "for": "1h", **more})
    until(lambda: (c.inline.store / "control.sock").exists(), c.inline.log)
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(c.inline.store / "control.sock"))
        asked.sendall(f"POST /windows HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = asked.makefile().read()
    assert " 201 " in answer, answer


def proxy_diverts_windows(c):
    """Who opens or closes a window without being root, over the control socket, has the kernel follow all the same. Where no window
    is open nobody is diverted, until a reload asks for one."""
    stranger = c.net.sender(OUTSIDE)
    c.inline.configure(sessions=1, window="1h")
    c.inline.divert("on")
    c.inline.start()
    open_window(c, stranger, sessions=1)
    until(lambda: stranger in diverted(c), lambda: diverted(c) + c.inline.log())
    assert not c.inline.status()["differences"], c.inline.status()
    send(c.net, stranger)
    until(lambda: stranger not in diverted(c), lambda: diverted(c) + c.inline.log())
    assert [t["sender"]["ip"] for t in c.inline.transcripts(1)] == [stranger]
    assert c.net.sender(CAPTURED) in diverted(c) and not c.inline.status()["differences"], c.inline.status()
    send(c.net, c.net.sender(CAPTURED))
    until(lambda: "elements" not in diverted(c), lambda: diverted(c) + c.inline.log())
    c.inline.configure(sessions=5, window="1h")
    c.inline.process.send_signal(signal.SIGHUP)
    until(lambda: c.net.sender(CAPTURED) in diverted(c), lambda: diverted(c) + c.inline.log())
    assert not c.inline.status()["differences"], c.inline.status()


def on_reloads(c):
    """`divert on` has the running proxy load the file, so that whom it diverts is recorded; refused, nothing changes."""
    stranger, captured = c.net.sender(OUTSIDE), c.net.sender(CAPTURED)
    c.inline.configure(senders=[captured], exclude=[])
    c.inline.start()
    assert "has loaded" in c.inline.divert("on")[1]
    c.inline.configure(senders=[captured, stranger], exclude=[])
    assert "the running proxy records others than" in c.inline.divert("status", status=1)[0]
    c.inline.divert("on")
    state = c.inline.status()
    assert state["senders"] == 2 and not state["differences"] and state["windows"] == ["config"], state
    send(c.net, stranger)
    assert c.inline.transcripts(1)[0]["sender"]["ip"] == stranger
    before = c.net.run("middle", "nft", "-s", "list", "ruleset").stdout
    c.inline.config.write_text(c.inline.config.read_text().replace('"senders"', '"sesions": 1, "senders"'))
    assert "did you mean" in c.inline.divert("on", status=78)[1]
    assert c.net.run("middle", "nft", "-s", "list", "ruleset").stdout == before
    # What the proxy alone refuses, here because it is about to end with its last session.
    c.inline.configure(senders=[captured], exclude=[])
    c.inline.config.write_text(c.inline.config.read_text().replace('"drain": "1s"', '"drain": "30s"'))
    c.inline.divert("on")
    before = c.net.run("middle", "nft", "-s", "list", "ruleset").stdout
    mail = Mail(c.net, captured).envelope()
    c.inline.process.terminate()
    deadline = time.monotonic() + 10
    while "stopping" not in c.inline.log():
        assert time.monotonic() < deadline, c.inline.log()
        time.sleep(0.05)
    _, said = c.inline.divert("on", status=1)
    assert "the proxy is stopping; nothing was changed" in said, said
    assert c.net.run("middle", "nft", "-s", "list", "ruleset").stdout == before
    mail.finish()


def no_window_open(c):
    """Whoever is not recorded is not to be diverted: `status` says so with 1, and `on` refuses; time, count and hand are told
    apart, and opening a window is what helps."""
    captured = c.net.sender(CAPTURED)
    c.inline.configure(senders=[captured], exclude=[], sessions=1)
    c.inline.start()
    c.inline.divert("on")
    send(c.net, captured)
    c.inline.transcripts(1)
    until(lambda: captured not in diverted(c), lambda: diverted(c) + c.inline.log())
    stdout, _ = c.inline.divert("status")
    assert "no window is open (the last, config, ended at" in stdout and "smtpscope window open" in stdout, stdout
    c.net.run("middle", "nft", "add", "element", "inet", "smtpscope", "capture4", f"{{ {captured} }}")  # a proxy that may not
    stdout, _ = c.inline.divert("status", status=1)
    assert "no window is open: nobody is recorded" in stdout and "smtpscope window open" in stdout, stdout
    before = c.net.run("middle", "nft", "-s", "list", "ruleset").stdout
    _, said = c.inline.divert("on", status=1)
    assert "all its sessions have come" in said and "smtpscope window open" in said, said
    assert c.net.run("middle", "nft", "-s", "list", "ruleset").stdout == before
    opened, _ = c.inline.window("open", "--sender", captured, "--for", "1h")
    c.inline.divert("status")
    send(c.net, captured)
    c.inline.transcripts(2)
    c.inline.window("close", opened["id"])
    stdout, _ = c.inline.divert("status")
    assert "it was closed" in stdout and "nobody is diverted" in stdout and "time is over" not in stdout, stdout
    assert "`divert on` brings" not in stdout, stdout
    assert "it was closed" in c.inline.divert("on", status=1)[1]
    c.inline.window("open", "--sender", captured, "--for", "1s")
    time.sleep(3)
    stdout, _ = c.inline.divert("status")
    assert "its time is over" in stdout and "nobody is diverted" in stdout, stdout


ROUTED = (captured_are_recorded, strangers_pass_by, one_port_twice, sessions_in_progress, window_ends_without_us, windows_divert,
          on_reloads, no_window_open, names_divert, proxy_diverts_windows, killed_under_load, not_ours)
BRIDGED = (captured_are_recorded, strangers_pass_by, sessions_in_progress, not_ours)
