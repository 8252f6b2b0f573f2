"""The command line that tests share, and the line in which they say what they covered."""
import argparse
from pathlib import Path


def parser(doc, only=False):
    """--binary and --source, and --only if `only`; a test adds its own to it."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--binary", required=True)
    made.add_argument("--source", type=Path, default=Path(__file__).resolve().parents[3])
    if only:
        made.add_argument("--only", default="", help="run only cases with this in their name")
    return made


def summary(figures, more=""):
    """`figures`: {what: how many}."""
    print("summary: " + ", ".join(f"{count} {what}" for what, count in figures.items()) + more)
