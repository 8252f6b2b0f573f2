#!/usr/bin/env python3
"""Validates every transcript under the given store folders (or .jsonl files) against docs/transcript.schema.json.

usage: tests/validate_transcripts.py STORE|FILE...   prints what is wrong as FILE:LINE: PATH: MESSAGE
Status 0: all valid (and there was at least one); 1: not so; 2: wrong usage. Needs python3-jsonschema.
"""
import json
import pathlib
import sys

import jsonschema

MAX_REPORTED = 20


def transcript_files(argument):
    path = pathlib.Path(argument)
    return sorted(path.rglob("*.jsonl")) if path.is_dir() else [path]


def problems(validator, line):
    try:
        value = json.loads(line)
    except ValueError as error:
        return [f"no JSON: {error}"]
    found = [f"{'/'.join(map(str, e.absolute_path)) or '(top)'}: {e.message[:300]}" for e in validator.iter_errors(value)]
    if not found and [e["n"] for e in value["events"]] != list(range(len(value["events"]))):
        found.append("events: n does not count 0, 1, 2, ...")
    return found


def main(arguments):
    if not arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    schema = json.loads((pathlib.Path(__file__).parent.parent / "docs" / "transcript.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    checked = bad = 0
    for argument in arguments:
        for file in transcript_files(argument):
            for number, line in enumerate(file.read_bytes().splitlines(), 1):
                checked += 1
                found = problems(validator, line)
                bad += bool(found)
                for problem in found if bad <= MAX_REPORTED else []:
                    print(f"{file}:{number}: {problem}")
    print(f"{checked} transcripts checked, {bad} not valid")
    return 0 if checked and not bad else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
