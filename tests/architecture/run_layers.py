#!/usr/bin/env python3
"""Checks how the sources hang together. usage: run_layers.py SOURCE_DIR; status 1 and a line for each fault.

 * Includes go one way: proxy -> capture, config; capture and config see only themselves.
 * capture is pure: no libuv, no sockets, no TLS library, no threads of its own.
 * A file stays below 500 lines unless LONG_FILES says why.
 * No two headers of the program define a type of one name: linked into one program, that is undefined, and no compiler tells.
 * Nothing half-done is left in the sources.
"""
import re
import sys
from pathlib import Path

MAY_SEE = {"config": {"config"}, "capture": {"capture"}, "proxy": {"proxy", "capture", "config"}}
FORBIDDEN = {
    "capture": r"uv\.h|sys/socket\.h|netinet/.*|arpa/inet\.h|openssl/(?!sha\.h|evp\.h).*|spdlog/.*|CLI/.*",
    "config": r"uv\.h|sys/socket\.h|openssl/.*|spdlog/.*|CLI/.*|sqlite3\.h",
}
# path: the header that it alone may include, and why is in its first line
EXCEPTIONS = {"capture/address_bytes.cpp": "arpa/inet.h"}
MAX_LINES = 500
LONG_FILES = {}  # path: why it may be longer
TYPE = re.compile(r"(?:struct|class|union|enum(?: class| struct)?) ([\w:]+)[^;()]*\{")  # in a namespace, which is not indented
MARKERS = re.compile("TO" "DO|FIX" "ME|X" "XX:")
SUFFIXES = {".cpp", ".h", ".c", ".py", ".sh", ".cmake", ".js", ".css", ".html"}


def sources(root):
    for top in ("config", "capture", "proxy", "tests", "deploy"):
        for path in sorted((root / top).rglob("*")):
            if path.is_file() and (path.suffix in SUFFIXES or path.name == "CMakeLists.txt"):
                yield path.relative_to(root)


def check(root):
    faults, files, includes = [], 0, 0
    defined = {}  # type: the header that defines it
    for path in sources(root):
        files += 1
        text = (root / path).read_text(encoding="utf-8")
        lines = text.splitlines()
        if len(lines) > MAX_LINES and str(path) not in LONG_FILES:
            faults.append(f"{path}: {len(lines)} lines, more than {MAX_LINES}: split it")
        for number, line in enumerate(lines, 1):
            type_name = TYPE.match(line) if path.suffix == ".h" and path.parts[0] in MAY_SEE else None
            if type_name and defined.setdefault(type_name[1], path) != path:
                faults.append(f"{path}:{number}: {type_name[1]} is a type of {defined[type_name[1]]} as well")
            if MARKERS.search(line):
                faults.append(f"{path}:{number}: a marker of unfinished work: {line.strip()}")
            include = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
            top = path.parts[0]
            if not include or top not in MAY_SEE:
                continue
            includes += 1
            target = include[2]
            if include[1] == '"':
                if target.split("/")[0] not in MAY_SEE[top]:
                    faults.append(f'{path}:{number}: {top} must not include "{target}"')
                elif not (root / target).exists():
                    faults.append(f'{path}:{number}: include "{target}" by its path from the root of the project')
            elif EXCEPTIONS.get(str(path)) != target and re.fullmatch(FORBIDDEN.get(top, r"(?!)"), target):
                faults.append(f"{path}:{number}: {top} must not include <{target}>")
    if files < 20 or includes < 20:
        faults.append(f"only {files} files and {includes} includes seen in {root}: is this the source folder?")
    return files, includes, faults


if __name__ == "__main__":
    seen_files, seen_includes, found = check(Path(sys.argv[1]))
    for fault in found:
        print(fault)
    print(f"layers: {seen_files} files, {seen_includes} includes, {len(found)} faults")
    sys.exit(1 if found else 0)
