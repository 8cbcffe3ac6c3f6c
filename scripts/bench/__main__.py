"""Measures jostle beside other relays; scripts/bench.sh starts it in namespaces of its own."""

import argparse
import json
import random
import sys
from functools import partial

import curves
import measure
import programs
import table
from rows import ROWS

# The figures that there should be and are not.
MISSING = []


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only these rows (beginnings of names); `size [CURVE…]`: what grows with size")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--seed", type=int, default=1, help="of the order within a round (1)")
    parser.add_argument("--peers", choices=["all", "goal", "none"], default="all",
                        help="measure all others, the one that a goal names, or none")
    parser.add_argument("--jostle", action="append", default=[], metavar="NAME=PATH",
                        help="measure another build of jostle beside the first")
    parser.add_argument("--json", metavar="FILE", help="write all figures to a file")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/performance.md")
    parser.add_argument("--size", metavar="BYTES", help="the bytes of a datagram (1200)")
    return parser.parse_args()


def programs_of(row, args):
    """Name -> what measures it once, of all that a row measures."""
    if row.load[0] == "path":
        return {"engine": lambda: measure.load_alone(row.load)}
    builds = {"": None, **{f" {name}": path for name, _, path in (b.partition("=") for b in args.jostle)}}
    if row.load[0] == "sweep":
        return {
            f"jostle{build}": partial(measure.sweep, path, row.load) for build, path in builds.items()
        }
    size = ["--size", args.size] if args.size and row.load[0] == "datagrams" else []
    load = [*row.load, *size]
    chosen = {}
    for build, path in builds.items():
        # How late a relay without a delay is, for one, tells nothing.
        if row.plain:
            chosen[f"jostle{build}"] = (programs.jostle(path), load)
        for name, (arguments, more) in row.variants.items():
            chosen[f"{name}{build}"] = (programs.jostle(path, arguments), [*load, *more])
    if row.direct:
        chosen["direct"] = (None, load)
    for peer in row.peers:
        if args.peers == "all" or args.peers == "goal" and peer == row.against:
            chosen[peer] = (programs.PEERS[peer], load)
    alone = {name: partial(measure.load_alone, load) for name, load in row.alone.items()}
    return alone | {
        name: partial(measure.measure, command, row.protocol, load, pinned=row.pinned)
        for name, (command, load) in chosen.items()
    }


def run(row, args):
    """The figures of a row: program -> one for each round, and what is told beside them."""
    chosen = programs_of(row, args)
    figures, beside = {}, {name: {} for name in chosen}

    def measured(name):
        told = chosen[name]()
        # What runs without a relay tells less.
        beside = {label: path for label, path in row.beside.items() if path.split(".")[0] in told}
        return measure.look_up(told, row.figure), {
            label: measure.look_up(told, path) for label, path in beside.items()
        }

    for number in range(args.rounds):
        order = list(chosen)
        random.Random(f"{args.seed} {row.name} {number}").shuffle(order)
        for name in order:
            if name not in chosen:
                continue
            try:
                found = measure.tried(f"{row.name}: {name}", partial(measured, name))
            except programs.Skip as reason:
                print(f"{row.name}: {name} is not measured: {reason}", file=sys.stderr)
                del chosen[name]
                continue
            if found is None:
                continue
            figures.setdefault(name, []).append(found[0])
            for label, value in found[1].items():
                beside[name].setdefault(label, []).append(value)
    note_missing(row.name, {name: len(figures.get(name, [])) for name in chosen}, args.rounds)
    # As they were named, not as they were drawn.
    ordered = {name: figures[name] for name in beside if name in figures}
    return ordered, beside


def note_missing(name, figures_of, rounds):
    """Notes of what there are fewer figures than rounds; the end of the run tells."""
    for what, count in figures_of.items():
        if count < rounds:
            MISSING.append(f"{name}: {what} has {count} of {rounds} figures")


def sizes(args):
    """Measures and prints the curves that are named behind `size`."""
    names = [name for name in curves.CURVES if not args.rows[1:] or name in args.rows[1:]]
    if not names:
        sys.exit(f"no such curve; there are {', '.join(curves.CURVES)}")
    measure.prepare()
    results, rounds = {}, min(args.rounds, 3)
    for name in names:
        results[name] = curves.run(name, rounds)
        note_missing(name, {size: len(found) for size, found in results[name].items()}, rounds)
        # The table is one for all of them; meanwhile one sees how far it is.
        print(curves.text(name, results[name]), flush=True, file=sys.stderr if args.markdown else None)
    if args.markdown:
        print(curves.markdown(results))
    write(args, results)


def write(args, told):
    if args.json:
        with open(args.json, "w") as file:
            json.dump(told, file, indent=2, ensure_ascii=False)


def main():
    args = arguments()
    if args.list:
        for row in ROWS.values():
            print(f"{row.name:18} {row.text}")
        return
    if args.rows[:1] == ["size"]:
        return sizes(args)
    names = [name for name in ROWS if not args.rows or any(name.startswith(row) for row in args.rows)]
    if not names:
        sys.exit("no such row; --list names them")
    measure.prepare()
    results = []
    for name in names:
        row = ROWS[name]
        lines = table.summarised(row, *run(row, args))
        results.append((row, lines))
        if not args.markdown:
            print(table.text(row, lines) + "\n", flush=True)
    if args.markdown:
        print(table.markdown(results))
    write(args, {
        row.name: {"text": row.text, "unit": row.unit, "programs": lines} for row, lines in results
    })


if __name__ == "__main__":
    main()
    if MISSING:
        sys.exit("missing:\n  " + "\n  ".join(MISSING))
