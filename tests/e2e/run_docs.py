#!/usr/bin/env python3
"""Man pages and shell completion of the real binary: without a warning of man and mandoc, complete in commands and options, and
the bash script completes in a real bash."""
import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path


def run(*words, **more):
    return subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, timeout=60, **more)


def complete(script, *words):
    """What bash would offer behind these words; the last one is unfinished."""
    line = "source {}; COMP_WORDS=({}); COMP_CWORD={}; _smtpscope; printf '%s\\n' \"${{COMPREPLY[@]}}\"".format(
        script, " ".join(f"'{w}'" for w in ("smtpscope", *words)), len(words))
    done = run("bash", "-c", line)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return set(done.stdout.split())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--source", type=Path)
    options = parser.parse_args()
    checked = []
    with tempfile.TemporaryDirectory(prefix="smtpscope-docs.") as folder:
        folder = Path(folder)
        for words, name in ((("man", "smtpscope.1"), "smtpscope.1"), (("man", "smtpscope.jsonc.5"), "smtpscope.jsonc.5"),
                            (("completion", "bash"), "bash"), (("completion", "zsh"), "zsh"), (("completion", "fish"), "fish")):
            done = run(options.binary, "docs", *words)
            assert done.returncode == 0 and not done.stderr, done
            (folder / name).write_text(done.stdout)
        pages = folder / "smtpscope.1", folder / "smtpscope.jsonc.5"
        if shutil.which("mandoc"):
            for page in pages:
                lint = run("mandoc", "-Tlint", "-Wwarning", page).stdout.splitlines()
                found = [line for line in lint if "missing date" not in line]  # they are of a version, not of a day
                assert not found, "\n".join(found[:20])
            text = run("mandoc", "-Tutf8", "-Owidth=200", pages[0]).stdout
            text = re.sub(".\b", "", text)
            helped = run(options.binary, "--help").stdout
            for command in re.findall(r"(?m)^  (\w+) {2,}", helped.split("Subcommands:")[1]):
                assert command in text, f"{command} is not in the man page"
                for option in re.findall(r"(?m)^  (--[\w-]+)", run(options.binary, command, "--help").stdout):
                    assert option in text, f"{command} {option} is not in the man page"
            checked.append("mandoc")
        if shutil.which("man") and shutil.which("groff"):
            for page in pages:
                warned = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page, env={"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80", "PATH": "/usr/bin:/bin"})
                assert warned.returncode == 0 and not warned.stderr, warned.stderr[:2000]
            checked.append("man --warnings")
        for asked, same in ((["help"], ["--help"]), (["help", "show"], ["show", "--help"]),
                            (["help", "window", "open"], ["window", "open", "--help"])):
            done = run(options.binary, *asked)
            assert done.returncode == 0 and done.stdout == run(options.binary, *same).stdout, done
        bash = folder / "bash"
        assert {"run", "list", "doctor", "--version"} <= complete(bash, ""), complete(bash, "")
        assert complete(bash, "do") == {"doctor"}
        assert {"on", "off", "print", "status"} <= complete(bash, "divert", "")
        assert complete(bash, "run", "--bo") == {"--body", "--body-limit"}
        assert complete(bash, "run", "--body", "") == {"full", "headers", "none"}
        assert complete(bash, "show", "last", "--format", "js") == {"json"}
        assert "--cut" in complete(bash, "divert", "off", "--c"), complete(bash, "divert", "off", "--c")
        (folder / "here.jsonc").touch()
        assert complete(bash, "doctor", "--config", f"{folder}/here") == {f"{folder}/here.jsonc"}
        checked.append("bash")
        for shell in ("zsh", "fish"):
            if shutil.which(shell):
                syntax = run(shell, "-n", folder / shell)
                assert syntax.returncode == 0 and not syntax.stderr, syntax.stderr
                checked.append(f"{shell} -n")
    print(f"summary: docs: 2 man pages, 3 completion scripts; checked with {', '.join(checked)}")


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        print(f"FAILED: {error}")
        sys.exit(1)
