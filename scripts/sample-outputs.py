#!/usr/bin/env python3
"""Compares the sample outputs that the README and the docs show with what is printed today.

    scripts/sample-outputs.py [--bless] [DOCUMENT…]

A block ```console holds commands behind "$ " and what each prints on stdout, letter by letter: they
are of virtual time or of files, with their seeds. A line "…" stands for any number of lines. In a
block ```console shape the numbers are those of one run on real sockets: words must agree, numbers
and their units may differ. The same holds for ```text shape behind a block ```sh that prints it on
stdout or stderr. All blocks of a document run in one new folder, with configs/ in it; the programs
are those of PATH. --bless writes what is printed into the document.
"""
import pathlib, re, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SECONDS_MAX = 120
# The least number of blocks of each document: what is not found is not checked.
LEAST = {"README.md": 2, "docs/sweeps.md": 5, "docs/simulate.md": 2}
BLOCK = re.compile(r"^```(console|console shape|text shape|sh)\n(.*?)^```\n", re.M | re.S)


def run(command, folder):
    """Returns stdout, and stderr apart."""
    done = subprocess.run(["bash", "-c", "set -o pipefail\n" + command], cwd=folder, text=True, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=SECONDS_MAX)
    return done.stdout, done.stderr


def shape(text):
    """Returns the words of each line, without numbers, units and what stands in brackets."""
    lines = []
    for line in text.splitlines():
        line = re.sub(r"\([^)]*\)", "", line)
        line = re.sub(r"\d[\d,.]*", "N", line)
        line = re.sub(r"N ?(ns|µs|ms|s|m|h|bytes|kB|MB|kbit/s|Mbit/s|bit/s)\b", "N", line)
        lines.append(" ".join(line.split()))
    # What is broken into lines elsewhere is the same text.
    return [line for line in lines if line]


def agrees(expected, printed, same=lambda line: line):
    """Compares line by line; "…" skips any number of lines."""
    expected, printed = [same(line) for line in expected], [same(line) for line in printed]
    at = 0
    skips = False
    for line in expected:
        if line.strip() == "…":
            skips = True
            continue
        if skips:
            while at < len(printed) and printed[at] != line:
                at += 1
        if at >= len(printed) or printed[at] != line:
            return False
        at, skips = at + 1, False
    return skips or at == len(printed)


def commands(block):
    """Splits a console block into (command, expected lines)."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        elif found and found[-1][0].endswith("\\"):
            found[-1][0] += "\n" + line
        elif found:
            found[-1][1].append(line)
    return found


def check(document, bless):
    text = (ROOT / document).read_text()
    wrong, seen, before = [], 0, ""
    out, last = [], 0
    with tempfile.TemporaryDirectory(prefix="jostle-samples-") as name:
        folder = pathlib.Path(name)
        (folder / "configs").symlink_to(ROOT / "configs")
        for block in BLOCK.finditer(text):
            kind, body = block[1], block[2]
            place = f"{document}:{text[:block.start()].count(chr(10)) + 1}"
            new = body
            if kind == "sh":
                before = body
                if "sweep" in body and "cargo" not in body and "wait" not in body:
                    run(body, folder)  # later blocks report on its rows
            elif kind == "text shape":
                seen += 1
                printed = "".join(run(before, folder))
                if sorted(shape(printed)) != sorted(shape(body)):
                    wrong.append((place, body, printed))
                    new = printed
            else:
                seen += 1
                parts = []
                for command, expected in commands(body):
                    printed, _ = run(command, folder)
                    lines = printed.splitlines()
                    if kind == "console":
                        good = agrees(expected, lines)
                    else:
                        good = agrees(shape("\n".join(expected)), shape(printed))
                    if not good:
                        wrong.append((f"{place}: {command}", "\n".join(expected), printed))
                        expected = lines
                    parts.append("\n".join(["$ " + command, *expected]) + "\n")
                new = "".join(parts)
            if bless and new != body:
                out.append(text[last:block.start(2)] + new)
                last = block.end(2)
    if bless and out:
        (ROOT / document).write_text("".join(out) + text[last:])
    if seen < LEAST.get(document, 0):
        wrong.append((document, f"{LEAST[document]} samples", f"only {seen} were found"))
    for place, expected, printed in wrong:
        print(f"-- {place}\n   shown:\n{expected}\n   printed today:\n{printed}", file=sys.stderr)
    print(f"{document}: {seen} samples, {len(wrong)} wrong")
    return len(wrong)


def main():
    arguments = sys.argv[1:]
    bless = "--bless" in arguments
    documents = [one for one in arguments if one != "--bless"] or list(LEAST)
    wrong = sum([check(document, bless) for document in documents])
    sys.exit(1 if wrong and not bless else 0)


main()
