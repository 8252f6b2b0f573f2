"""What a unit file of systemd takes away from its service, done to a program here, where systemd is not the init: user,
capabilities and system calls as the unit says. As a program: installs the filter of the calls named on its command line, then
runs what stands behind "--".
"""
import ctypes
import os
import platform
import re
import struct
import subprocess
import sys
from pathlib import Path

ALLOW, KILL, ERROR = 0x7FFF0000, 0x80000000, 0x00050000
EPERM = 1
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # of classic BPF
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PR_SET_SECCOMP, SECCOMP_MODE_FILTER, PR_SET_NO_NEW_PRIVS = 22, 2, 38


def settings(unit):
    """{"ExecStart": ["..."], ...} of a unit file."""
    found = {}
    for line in Path(unit).read_text().splitlines():
        if re.match(r"\w+=", line):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def calls_of(name):
    """The calls of a set (@network-io), sets in it included; or the call itself."""
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=True).stdout
    words = [line.strip() for line in listed.splitlines()[1:] if line.strip() and not line.strip().startswith("#")]
    return set().union(*(calls_of(word) for word in words))


def allowed_calls(unit):
    """What is left of its SystemCallFilter= lines, in their order: allowed, taken out again with ~."""
    allowed = set()
    for line in settings(unit)["SystemCallFilter"]:
        named = set().union(*(calls_of(word) for word in line.removeprefix("~").split()))
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


def command(unit, uid, program):
    """That program as the unit would run it, but as this user id. `program`: a list of words."""
    found = settings(unit)
    capabilities = found["AmbientCapabilities"][0].lower().split()
    assert found["CapabilityBoundingSet"] == found["AmbientCapabilities"], "the unit names two sets of capabilities"
    names = ",".join("+" + name.removeprefix("cap_") for name in capabilities)
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", f"--inh-caps=-all,{names}",
            f"--ambient-caps=-all,{names}", f"--bounding-set=-all,{names}", "--no-new-privs",
            sys.executable, "-c", Path(__file__).read_text(),  # by its text: the user need not get through to the checkout
            *sorted(allowed_calls(unit)), "--", *map(str, program)]


def numbers():
    """{"read": 0, ...} of this architecture, from the kernel's headers."""
    for path in ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h"):
        if Path(path).exists():
            return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)", Path(path).read_text())}
    raise OSError("no asm/unistd_64.h: package linux-libc-dev")


def confine(names):
    """From now on this thread, and what it runs, may make only these calls; others are answered EPERM."""
    known = numbers()
    machine = ARCHITECTURE[platform.machine()]
    program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, machine), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    for name in names:
        if name in known:
            program += [(EQUAL, 0, 1, known[name]), (RETURN, 0, 0, ALLOW)]
    program.append((RETURN, 0, 0, ERROR | EPERM))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    pointer = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, pointer, 0, 0)):
        if libc.prctl(*words) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    divider = sys.argv.index("--")
    confine(sys.argv[1:divider])
    os.execvp(sys.argv[divider + 1], sys.argv[divider + 1:])
