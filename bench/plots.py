#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the plots of the README from the JSON of bench/run: plots.py RESULTS.json FOLDER."""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "dp"  # the same names inside the file on every run

from matplotlib import pyplot  # noqa: E402

# dp stands out; the others keep their colour and mark from plot to plot.
STYLE = {
    "dp": ("#d1495b", "o"),
    "serial": ("#333333", "None"),
    "libgomp": ("#30638e", "s"),
    "libomp": ("#5fa8d3", "^"),
    "oneTBB": ("#4c956c", "D"),
    "pthreadpool": ("#9a7aa0", "v"),
    "joblib": ("#c9a227", "P"),
    "multiprocessing": ("#dfc27d", "X"),
    "concurrent.futures": ("#bfb38f", "*"),
}

# Up to this ratio of the longest to the shortest time the axis of a panel is linear.
LINEAR = 15

FORK_JOIN = ["fib", "tree", "queens", "uts"]
LISTS = ["fib-list", "sleep", "squares", "irregular", "reduce", "scan", "imap"]
LATENCY = ["apply", "map of one", "wake", "tasks"]


def time_text(seconds):
    if seconds == 0:
        return "0"
    for size, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def label(row):
    """Who; the engine too where one name has several."""
    if row["engine"] in ("threads", "processes") and row["who"] != "concurrent.futures":
        return row["who"]
    return row["who"] if row["engine"] == "serial" else f"{row['who']}, {row['engine']}"


def shown(rows):
    """dp on its serial engine is for debugging; it is left to the table."""
    return [row for row in rows if (row["who"], row["engine"]) != ("dp", "serial")]


def cases_of(results, bench):
    """The cases of a bench in the order of the file."""
    names = dict.fromkeys(row["case"] for row in results if row["bench"] == bench)
    return {
        name: shown([row for row in results if (row["bench"], row["case"]) == (bench, name)])
        for name in names
    }


def draw_bars(axes, title, rows):
    """A bar for everybody's time with all workers, and a mark at the time with one."""
    everybody = {}
    for row in rows:
        everybody.setdefault(label(row), []).append(row)
    bars = [
        (max(own, key=lambda r: r["workers"]), min(own, key=lambda r: r["workers"]))
        for own in everybody.values()
    ]
    bars.sort(key=lambda pair: -pair[0]["min"])
    shortest = min(min(most["min"], one["min"]) for most, one in bars)
    for place, (most, one) in enumerate(bars):
        colour = STYLE[most["who"]][0]
        axes.barh(place, most["min"], color=colour, height=0.7)
        text = time_text(most["min"])
        if one is not most:
            text += f"  (| {time_text(one['min'])})"
        axes.annotate(
            text,
            (max(most["min"], one["min"]), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            fontweight="bold" if most["who"] == "dp" else "normal",
        )
        if one is not most:
            axes.plot(one["min"], place, marker="|", color="black", markersize=9)
    axes.set_yticks(range(len(bars)), [label(most) for most, _ in bars], fontsize=8)
    for tick, (most, _) in zip(axes.get_yticklabels(), bars):
        tick.set_fontweight("bold" if most["who"] == "dp" else "normal")
    longest = max(max(most["min"], one["min"]) for most, one in bars)
    if longest < LINEAR * shortest:
        axes.set_xlim(0, longest * 1.7)
    else:
        axes.set_xscale("log")
        axes.set_xlim(shortest / 2, longest * (longest / shortest) ** 0.7)
        axes.xaxis.set_minor_formatter("")
    axes.set_title(title, fontsize=10, loc="left")
    axes.xaxis.set_major_formatter(lambda value, _: time_text(value))
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def bar_figure(panels, title):
    """One figure of bars with up to two panels in a row."""
    panels = [(name, rows) for name, rows in panels if rows]
    if not panels:
        return None
    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    most = max(len({label(row) for row in rows}) for _, rows in panels)
    figure, grid = pyplot.subplots(
        lines,
        columns,
        figsize=(5 * columns, 0.3 + lines * (0.9 + 0.27 * most)),
        squeeze=False,
        layout="constrained",  # which leaves room for the title, however many lines there are
    )
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (name, rows) in zip(grid.flat, panels):
        draw_bars(axes, name, rows)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left", fontweight="bold")
    return figure


def largest_cases(results, benches):
    for bench in benches:
        cases = cases_of(results, bench)
        cases = {name: rows for name, rows in cases.items() if len(rows) > 1}
        if cases:
            name = max(cases, key=lambda case: cases[case][0]["n"])
            yield f"{bench}, {name}", cases[name]


def fork_join(results):
    return bar_figure(
        largest_cases(results, FORK_JOIN),
        "Fork/join: time with all workers (mark: with 1), shorter is better",
    )


def lists(results):
    panels = [
        (f"{bench}, {name}", rows)
        for bench in LISTS
        for name, rows in cases_of(results, bench).items()
        if name != "blocking regions"
    ]
    return bar_figure(
        panels, "Maps and loops: time with all workers (mark: with 1), shorter is better"
    )


def latency(results):
    cases = cases_of(results, "latency")
    panels = [(name, cases.get(name)) for name in LATENCY]
    return bar_figure(
        panels, "Latency: time with all workers (mark: with 1), shorter is better"
    )


def loops(results):
    """Speed of y = 2x + y relative to serial C, over the length of the loop."""
    cases = cases_of(results, "loops")
    if len(cases) < 2:
        return None
    lines = {}
    for rows in cases.values():
        serial = min((row["min"] for row in rows if row["who"] == "serial"), default=None)
        most = max(row["workers"] for row in rows)
        for row in rows:
            if serial and row["workers"] == most and row["who"] != "serial":
                lines.setdefault(row["who"], []).append((row["n"], serial / row["min"]))
    if not lines:
        return None
    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    axes.axhline(1, color="#333333", linewidth=1, linestyle="--")
    for who, points in lines.items():
        colour, mark = STYLE[who]
        ours = who == "dp"
        axes.plot(
            *zip(*sorted(points)),
            color=colour,
            marker=mark,
            label=who,
            linewidth=2.5 if ours else 1.5,
            zorder=3 if ours else 2,
        )
    axes.set_xscale("log")
    axes.set_xlabel("n")
    axes.set_ylabel("speed, serial C = 1")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False)
    axes.set_title(
        "Loops: y = 2x + y with all workers, higher is better",
        fontsize=11,
        loc="left",
        fontweight="bold",
    )
    return figure


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    results = json.loads(pathlib.Path(sys.argv[1]).read_text())
    folder = pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for draw in (fork_join, lists, loops, latency):
        figure = draw(results)
        if not figure:
            continue
        name = draw.__name__.replace("_", "-")
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", dpi=150)
        pyplot.close(figure)
        drawn.append(name)
    print(f"plots: {', '.join(drawn)} in {folder}")


if __name__ == "__main__":
    main()
