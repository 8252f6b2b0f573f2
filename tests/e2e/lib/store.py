"""The files that the proxy leaves: transcripts, recordings, their modes; and what other programs make of them."""
import json
import stat
import subprocess
import time
from pathlib import Path


def transcripts(store):
    """All transcripts of a store, each with its file under "_file". A line that is no JSON is an error."""
    found = []
    for path in sorted(Path(store).glob("senders/*/*.jsonl")):
        data = path.read_bytes()
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            try:
                transcript = json.loads(line)
            except ValueError as error:
                raise AssertionError(f"{path}:{number}: {error}: {line[:200]!r}") from None
            transcript["_file"] = path
            found.append(transcript)
    return found


def count_lines(store):
    return sum(path.read_bytes().count(b"\n") for path in Path(store).glob("senders/*/*.jsonl"))


def wait_transcripts(store, count, timeout=10):
    """Until at least `count` transcripts are on disk; gives them back. AssertionError if they do not come."""
    deadline = time.monotonic() + timeout
    while (lines := count_lines(store)) < count:
        assert time.monotonic() < deadline, f"only {lines} of {count} transcripts on disk after {timeout} s"
        time.sleep(0.05)
    return transcripts(store)


def by_sender(found):
    """{(ip, port): transcript}; two with the same sender are an error (the tests use no port twice)."""
    table = {}
    for transcript in found:
        key = transcript["sender"]["ip"], transcript["sender"]["port"]
        assert key not in table, f"two transcripts of {key}: {table[key]['id']} and {transcript['id']}"
        table[key] = transcript
    return table


def check_modes(store):
    """Files 0600, directories 0700; gives back how many files."""
    files = 0
    for path in [Path(store), *Path(store).rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = 0o700 if path.is_dir() else 0o600
        assert mode == wanted, f"{path}: mode {mode:o}, not {wanted:o}"
        files += path.is_file()
    return files


def recordings(store):
    return sorted(Path(store).glob("senders/*/*.pcapng"))


def check_recording(path):
    """capinfos and tshark read it whole, without a warning about its form; gives back its number of packets."""
    info = subprocess.run(["capinfos", "-M", "-c", "-r", str(path)], capture_output=True, text=True, check=False)
    assert info.returncode == 0, f"capinfos {path}: {info.stdout}{info.stderr}"
    shark = subprocess.run(["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "frame.number", "-e",
                            "ip.checksum.status", "-e", "tcp.checksum.status", "-o", "ip.check_checksum:TRUE", "-o",
                            "tcp.check_checksum:TRUE"], capture_output=True, text=True, check=False)
    assert shark.returncode == 0, f"tshark {path}: {shark.stderr}"
    complaints = [line for line in shark.stderr.splitlines() if "Running as user" not in line and line.strip()]
    assert not complaints, f"tshark {path}: {complaints[:3]}"
    packets = shark.stdout.splitlines()
    for line in packets:
        fields = line.split("\t")
        assert "0" not in fields[1:], f"{path}: packet {fields[0]}: bad checksum"
    return len(packets)


def follow(path, sender, gateway_port):
    """Both sides' bytes of one session as tshark's follow gives them: (sender's, gateway's)."""
    ip, port = sender
    address = "ipv6.addr" if ":" in ip else "ip.addr"
    streams = subprocess.run(["tshark", "-n", "-r", str(path), "-Y", f"{address}=={ip} && tcp.port=={port}", "-T", "fields",
                              "-e", "tcp.stream"], capture_output=True, text=True, check=True).stdout.split()
    assert len(set(streams)) == 1, f"{path}: {ip}:{port} is in TCP streams {sorted(set(streams))}"
    text = subprocess.run(["tshark", "-n", "-r", str(path), "-q", "-z", f"follow,tcp,raw,{streams[0]}"],
                          capture_output=True, text=True, check=True).stdout
    sides, first_is_sender = ([], []), None
    for line in text.splitlines():
        if line.startswith("Node 0: "):
            first_is_sender = line.split()[-1] in (f"{ip}:{port}", f"[{ip}]:{port}")
        stripped = line.strip()
        if stripped and all(c in "0123456789abcdef" for c in stripped):
            sides[line.startswith("\t")].append(bytes.fromhex(stripped))
    assert first_is_sender is not None, f"{path}: no stream {streams[0]}"
    node0, node1 = b"".join(sides[0]), b"".join(sides[1])
    return (node0, node1) if first_is_sender else (node1, node0)


class Validator:
    """Checks transcripts by docs/transcript.schema.json; without the jsonschema module it only counts what it left out."""

    def __init__(self, root):
        self.checked = 0
        schema = Path(root) / "docs" / "transcript.schema.json"
        self._validator = None
        if schema.exists():
            import jsonschema
            text = json.loads(schema.read_text())
            self._validator = jsonschema.validators.validator_for(text)(text)

    def check(self, transcript):
        if not self._validator:
            return
        plain = {key: value for key, value in transcript.items() if key != "_file"}
        for error in self._validator.iter_errors(plain):
            raise AssertionError(f"{transcript['id']}: /{'/'.join(map(str, error.path))}: {error.message[:300]}")
        self.checked += 1
