"""What happens before the first command: no gateway, refusing or slow greetings, too many connections."""
from peers.case import Case, gateway_says, sender_says
from peers.gateway import source_socket
from peers.senders import EHLO, READ, curl, nodemailer, python, script, swaks
from peers.senders import mail as usual_mail

SETTINGS = {
    ("nothing", "down"): {},
    ("postfix", "client refused"): {"smtpd_client_restrictions": "check_client_access texthash:{dir}/all", "smtpd_delay_reject": "no",
                                    "files": {"all": "127.0.0.1 REJECT\n"}},
    ("postfix", "one connection"): {"smtpd_client_connection_count_limit": "1"},
    ("postfix", "greet wait"): {"postscreen": True, "postscreen_greet_action": "enforce", "postscreen_greet_wait": "6s"},
    ("postfix", "deep tests"): {"postscreen": True, "postscreen_pipelining_enable": "yes", "postscreen_greet_wait": "1s"},
    ("postfix", "address barred"): {"postscreen": True, "postscreen_access_list": "cidr:{dir}/barred", "postscreen_blacklist_action": "drop",
                                    "postscreen_greet_wait": "1s", "files": {"barred": "127.0.0.0/8 reject\n"}},
    ("postfix", "proxy header"): {"smtpd_upstream_proxy_protocol": "haproxy", "smtpd_upstream_proxy_timeout": "3s"},
    ("exim", "reject connection"): {"host_reject_connection": "*"},
    ("exim", "connect denied"): {"acl_connect": "  deny message = we know you\n"},
    ("exim", "connect deferred"): {"acl_connect": "  defer message = come back later\n"},
    ("exim", "one of each"): {"smtp_accept_max_per_host": "1"},
    ("exim", "one in all"): {"smtp_accept_max": "1"},
    ("exim", "load"): {"smtp_load_reserve": "0.001", "smtp_reserve_hosts": "10.255.255.255"},
    ("exim", "few messages"): {"smtp_accept_max_per_connection": "1"},
    ("exim", "slow greeting"): {"acl_connect": "  accept delay = 7s\n"},
    ("haraka", "barred"): {"plugins": "barred", "plugin": {"barred": "exports.hook_connect = function (next) { next(DENYDISCONNECT, 'poor reputation'); };\n"}},
    ("haraka", "deferred"): {"plugins": "barred", "plugin": {"barred": "exports.hook_connect = function (next) { next(DENYSOFTDISCONNECT, 'not now'); };\n"}},
    ("smtp-sink", "421"): {"args": ["-Q", "CONNECT"]},
    ("smtp-sink", "drop"): {"args": ["-q", "CONNECT"]},
    ("smtp-sink", "refuse"): {"args": ["-f", "CONNECT"]},
    ("smtp-sink", "put off"): {"args": ["-r", "CONNECT"]},
}


def beside_another(send):
    """`send`, while another session of the same gateway is open. It connects from another address, past smtpscope."""
    def both(route):
        with source_socket(("127.0.0.1", route.gateway_port), "127.0.0.1") as other:
            other.recv(100)
            return send(route)
    both.__qualname__ = send.__qualname__
    return both


TWO_MAILS = (*EHLO, *(("MAIL FROM:<ann@sender.example>\r\n", READ, "RCPT TO:<joe@example.test>\r\n", READ, "DATA\r\n", READ, "Subject: x\r\n\r\nx\r\n.\r\n", READ) * 2))

CASES = [
    Case("gateway down, swaks", "nothing", "down", swaks(), "gateway-refused", "connect", "gateway", gateway_says("")),
    Case("gateway down, nodemailer", "nothing", "down", nodemailer(), "gateway-refused", "connect", "gateway", gateway_says("")),
    # Greetings that refuse.
    Case("client refused, Postfix", "postfix", "client refused", swaks(), "banner-refused", "banner", "policy", gateway_says("554 5.7.1")),
    Case("address barred, postscreen", "postfix", "address barred", curl(), "banner-refused", "banner", "policy", gateway_says("521 5.3.2")),
    Case("connection rejected, Exim", "exim", "reject connection", swaks(), "banner-refused", "banner", "policy", gateway_says("554 ")),
    Case("connect denied, Exim", "exim", "connect denied", nodemailer(), "banner-refused", "banner", "policy", gateway_says("550 we know")),
    Case("connect deferred, Exim", "exim", "connect deferred", swaks(), "banner-temporary", "banner", "gateway", gateway_says("451 come back")),
    Case("reputation, Haraka", "haraka", "barred", swaks(), "banner-reputation", "banner", "policy", gateway_says("5")),
    Case("deferred, Haraka", "haraka", "deferred", curl(), "banner-temporary", "banner", "gateway", gateway_says("4")),
    Case("421 greeting, smtp-sink", "smtp-sink", "421", swaks(), "banner-temporary", "banner", "gateway", gateway_says("421 ")),
    Case("refusing greeting, smtp-sink", "smtp-sink", "refuse", curl(), "banner-refused", "banner", "policy", gateway_says("500 ")),
    Case("greeting puts off, smtp-sink", "smtp-sink", "put off", nodemailer(), "banner-temporary", "banner", "gateway", gateway_says("450 ")),
    Case("no greeting, smtp-sink", "smtp-sink", "drop", swaks(), "banner-closed", "banner", "gateway", gateway_says("fin")),
    # Limits.
    Case("two connections, Postfix", "postfix", "one connection", beside_another(swaks()), "banner-too-many-connections", "banner", "policy",
         gateway_says("421 4.7.0"), alone=True),
    Case("two connections, Exim", "exim", "one of each", beside_another(swaks()), "banner-too-many-connections", "banner", "policy",
         gateway_says("421 Too many concurrent"), alone=True),
    Case("two connections in all, Exim", "exim", "one in all", beside_another(nodemailer()), "banner-listener-full", "banner", "gateway",
         gateway_says("421 Too many concurrent"), alone=True),
    Case("load, Exim", "exim", "load", swaks(), "banner-overload", "banner", "gateway", gateway_says("421 gw.example.test: Too much load")),
    Case("second message, Exim", "exim", "few messages", script(*TWO_MAILS), "too-many-messages", "mail", "policy", gateway_says("421 ")),
    # postscreen's deep tests put off every new client once.
    Case("deep tests, postscreen", "postfix", "deep tests", swaks(), "greylisted", "rcpt", "policy", gateway_says("450 4.3.2")),
    # Waiting for the greeting.
    # swaks says QUIT before it closes.
    Case("greeting awaited 3 s, swaks", "exim", "slow greeting", swaks("--timeout", "3"), "banner-sender-gave-up", "banner", "gateway", sender_says("QUIT")),
    Case("greeting awaited 3 s, nodemailer", "exim", "slow greeting", nodemailer({"greetingTimeout": 3000}), "banner-sender-gave-up", "banner", "gateway",
         sender_says("fin")),
    Case("greeting awaited 3 s, curl", "exim", "slow greeting", curl("--max-time", "3"), "banner-sender-gave-up", "banner", "gateway", sender_says("fin")),
    Case("greeting awaited 3 s, smtplib", "exim", "slow greeting", python(usual_mail, timeout=3), "banner-sender-gave-up", "banner", "gateway", sender_says("fin")),
    Case("greeting after 7 s", "exim", "slow greeting", swaks(), notes=("banner-slow",)),
    Case("greeting after 6 s, postscreen", "postfix", "greet wait", swaks(), notes=("banner-paused",)),
    # Postfix waits for a PROXY header, which smtpscope does not send, and does not say so: that is in its log alone.
    Case("PROXY header missing, Postfix", "postfix", "proxy header", swaks("--timeout", "40"), "banner-temporary", "banner", "gateway", gateway_says("421 4.3.0")),
]
