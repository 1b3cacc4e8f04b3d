"""Plots as SVG, for reports: lines over a number, and nothing else. Needs nothing but Python itself.

What is not here: where the numbers come from (scripts/soak).
"""

import math
from html import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 150, 36, 46
COLORS = ["#1b6ca8", "#c8553d", "#3a7d44", "#7d5ba6", "#b8860b"]
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:14px;font-weight:600}"
    ".grid{stroke:#e4e4e4}.axis{stroke:#888}.mark{stroke:#c8553d;stroke-dasharray:2 3;opacity:.5}"
)


def readable(value):
    """A number in as few characters as say it: 1.5M, 20k, 0.25."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


def ticks(low, high, log):
    if log:
        return [10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    span = (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(m for m in (1, 2, 5, 10) if span / (step * m) <= 5)
    first = math.ceil(low / step)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


class Scale:
    """From values to pixels."""

    def __init__(self, low, high, start, end, log=False):
        self.low, self.high, self.log = low, high, log
        self.start, self.end = start, end

    def at(self, value):
        low, high, value = ((math.log10(v) for v in (self.low, self.high, value)) if self.log
                            else (self.low, self.high, value))
        return self.start + (value - low) / ((high - low) or 1.0) * (self.end - self.start)


def lines(path, title, labels, series, log_x=False, marks=()):
    """Writes a plot. labels: of x and y. series: {name: [(x, y), ...]}. marks: x where something happened."""
    points = [point for line in series.values() for point in line]
    if not points:
        points = [(1.0, 0.0)]
    xs = [x for x, _ in points]
    x = Scale(min(xs), max(xs), LEFT, WIDTH - RIGHT, log_x)
    y = Scale(0.0, (max(value for _, value in points) or 1.0) * 1.08, HEIGHT - BOTTOM, TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
    ]
    for value in ticks(y.low, y.high, False):
        at = y.at(value)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{readable(value)}</text>')
    for value in (v for v in ticks(x.low, x.high, log_x) if x.low <= v <= x.high):
        out.append(f'<text x="{x.at(value):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{readable(value)}</text>')
    for mark in marks:
        out.append(f'<line class="mark" x1="{x.at(mark):.1f}" x2="{x.at(mark):.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    out.append(f'<line class="axis" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM}"/>')
    out.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(labels[0])}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{escape(labels[1])}</text>')
    for number, (name, line) in enumerate(series.items()):
        color = COLORS[number % len(COLORS)]
        path_data = " ".join(f"{x.at(px):.1f},{y.at(py):.1f}" for px, py in line)
        out.append(f'<polyline points="{path_data}" fill="none" stroke="{color}" stroke-width="1.6"/>')
        if len(line) <= 20:
            out += [f'<circle cx="{x.at(px):.1f}" cy="{y.at(py):.1f}" r="2.6" fill="{color}"/>' for px, py in line]
        out.append(f'<text x="{WIDTH - RIGHT + 12}" y="{TOP + 16 * (number + 1)}" style="fill:{color}">{escape(name)}</text>')
    out.append("</svg>")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out) + "\n")
