"""All cases and the settings of their gateways, gathered from the tables by topic."""
from peers import cases_auth, cases_connect, cases_content, cases_envelope, cases_mta, cases_protocol, cases_time, cases_tls

CASES, SETTINGS = [], {}
for _table in (cases_connect, cases_envelope, cases_protocol, cases_auth, cases_tls, cases_content, cases_time, cases_mta):
    CASES += _table.CASES
    assert not SETTINGS.keys() & _table.SETTINGS.keys(), f"{_table.__name__}: settings of another table"
    SETTINGS |= _table.SETTINGS

assert len({case.name for case in CASES}) == len(CASES), "two cases of one name"
assert len(CASES) < 254, "127.0.2.N is used up"


def sender(case):
    """The kind of sender: the function of senders.py that made it."""
    own = case.send.__qualname__.split(".")[0]
    return f"{own} (server)" if case.send.__module__ == "peers.senders_mta" else own
