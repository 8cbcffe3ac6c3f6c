"""Figures of several rounds, and the table of them."""

from statistics import median


def figures(rounds):
    """Least, median and spread of one program's figures, the spread as a share of the least."""
    least = min(rounds)
    return {
        "least": least,
        "median": median(rounds),
        "spread": (max(rounds) - least) / abs(least) if least else None,
    }


def summarised(row, figures_of, beside_of):
    """The lines of a row: program -> what is told of it."""
    lines = {}
    peer = figures_of.get(row.against)
    for program, rounds in figures_of.items():
        line = {"rounds": rounds, **figures(rounds), "ratio": None, "goal": None, "met": None}
        if peer and program != row.against:
            line["ratio"] = line["least"] / min(peer)
        if program == row.subject:
            if row.ratio_max is not None:
                line["goal"] = f"≤ {row.ratio_max:.2f} ×"
                line["met"] = None if line["ratio"] is None else line["ratio"] <= row.ratio_max
            elif row.figure_max is not None:
                line["goal"] = f"≤ {row.figure_max:g} {row.unit}"
                line["met"] = line["least"] <= row.figure_max
        line["beside"] = {label: median(values) for label, values in beside_of[program].items()}
        lines[program] = line
    return lines


def number(value):
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


HEAD = ["program", "least", "median", "spread", "ratio", "goal", ""]


def cells(row, program, line):
    ratio = "–" if line["ratio"] is None else f"{line['ratio']:.2f} ×"
    spread = "–" if line["spread"] is None else f"{line['spread']:.0%}"
    goal = line["goal"] or ""
    if line["goal"]:
        goal += {True: " met", False: " missed", None: " –"}[line["met"]]
    beside = ", ".join(f"{number(value)} {label}" for label, value in line["beside"].items())
    return [program, number(line["least"]), number(line["median"]), spread, ratio, goal, beside]


def text(row, lines):
    """A row for people."""
    table = [HEAD, *(cells(row, program, line) for program, line in lines.items())]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
    said = [f"{row.name}: {row.text}, {row.unit}" + (f", beside {row.against}" if row.against else "")]
    for line in table:
        padded = (
            cell.ljust(width) if column in (0, 5, 6) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths))
        )
        said.append("  " + "  ".join(padded).rstrip())
    return "\n".join(said)


def markdown(results):
    """All rows as one table of docs/performance.md."""
    said = [
        "| work | program | least | median | spread | ratio | goal | beside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, lines in results:
        for place, (program, line) in enumerate(lines.items()):
            first = f"`{row.name}` {row.text}, {row.unit}" if place == 0 else ""
            said.append("| " + " | ".join([first, *cells(row, program, line)]) + " |")
    return "\n".join(said)
