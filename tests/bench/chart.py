#!/usr/bin/python3
"""Draws what `make bench` printed: chart.py <OUTPUT >CHART.svg. Each comparison is two bars, ours and the usual way, as long
as their times are to each other; the first figure of a line is its time. One file, light and dark, that needs nothing else.
"""
import html
import re
import sys

WIDTH, LEFT, BAR, ROW = 760, 20, 380, 26
STYLE = """text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.ours{fill:#1a7f37}.usual{fill:#8c959f}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.ours{fill:#3fb950}.usual{fill:#6e7681}}"""


def comparisons(lines):
    """(heading, [(label, time), (label, time)], ratio) for each line `ratio, ...` of the output."""
    heading, figures = "", []
    for line in lines:
        found = re.match(r"  (\S.*?)\s+([0-9]+\.[0-9]+)(\s|$)", line)
        if line[:1] not in ("", " ", "\n", "="):
            heading, figures = line.strip(), []
        elif found and found.group(1).startswith("ratio") and len(figures) > 1:
            yield heading, figures[-2:], float(found.group(2))
        elif found:
            figures.append((found.group(1), float(found.group(2))))


def text(x, y, words, kind=""):
    return f'<text x="{x}" y="{y}"{kind}>{html.escape(words)}</text>'


def main():
    parts, y = [], 10
    for heading, figures, ratio in comparisons(sys.stdin):
        longest = max(time for _, time in figures)
        unit = "s" if "seconds" in heading else "ms"
        parts.append(text(LEFT, y + 16, f"{re.split(r'[:,;]', heading)[0]}: {ratio:.2f} of the usual time", ' class="title"'))
        for (label, time), kind in zip(figures, ("ours", "usual")):
            y += ROW
            long = max(1, round(BAR * time / longest))
            parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{long}" height="18" rx="3"/>')
            parts.append(text(LEFT + long + 8, y + 14, f"{time:g} {unit}  {label}"))
        y += ROW + 16
    if not parts:
        sys.exit("chart.py: nothing was compared in this output")
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
          f'aria-label="k8s-hooks against the usual way"><style>{STYLE}</style>')
    print("\n".join(parts))
    print("</svg>")


if __name__ == "__main__":
    main()
