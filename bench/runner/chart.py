"""The chart: for each row, where each server stands on a scale of multiples of the limit."""

import math
from html import escape

WIDTH, LEFT, RIGHT, LINE, TOP = 1020, 380, 40, 30, 96
COLOURS = {
    "limit": "#6b7280",
    "limit_tokio": "#a3a3a3",
    "wirebird": "#d9480f",
    "wirebird-mimalloc": "#f59f00",
    "socketioxide": "#1c7ed6",
    "socketioxide-mimalloc": "#74c0fc",
    "node": "#2b8a3e",
    "node-addons": "#8ce99a",
    "python-socketio": "#862e9c",
    "flask-socketio": "#e599f7",
}


def draw(session):
    rows = []
    for row in session.rows:
        ratios = {
            server.key: 1.0 if server.key == "limit" else session.ratio(row.key, server.key, "server_us")
            for server in session.servers
        }
        ratios = {key: ratio for key, ratio in ratios.items() if ratio}
        if row.figures[0][0] == "server_us" and len(ratios) > 1:
            rows.append((row.title, ratios))
    height = TOP + LINE * max(1, len(rows)) + 40
    every = [ratio for _, ratios in rows for ratio in ratios.values()] or [1.0]
    low, high = math.log2(min(0.4, *every) * 0.9), math.log2(max(2.0, *every) * 1.1)

    def x(ratio):
        return LEFT + (math.log2(ratio) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        "<title>Server CPU per operation, as a multiple of the limit</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="bold" fill="#111">{_HEADING}</text>',
    ]
    parts += _legend(session)
    parts += _grid(x, low, high, height)
    for index, (title, ratios) in enumerate(rows):
        y = TOP + LINE * index + LINE / 2
        parts.append(f'<text x="{LEFT - 14}" y="{y + 4:.1f}" text-anchor="end" fill="#333">{escape(title)}</text>')
        ends = x(min(ratios.values())), x(max(ratios.values()))
        parts.append(f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y}" y2="{y}" stroke="#ddd" stroke-width="6"/>')
        for server in reversed(session.servers):
            if server.key in ratios:
                ratio = ratios[server.key]
                radius = 7 if server.key == "wirebird" else 5
                parts.append(
                    f'<circle cx="{x(ratio):.1f}" cy="{y}" r="{radius}" fill="{COLOURS[server.key]}" stroke="#fff">'
                    f"<title>{escape(server.title)}: {ratio:.2f}×</title></circle>"
                )
    return "\n".join([*parts, "</svg>"]) + "\n"


_HEADING = "Server CPU per operation, as a multiple of the limit (logarithmic; left is better)"


def _legend(session):
    parts, x, y = [], 22, 48
    for server in session.servers:
        width = 30 + 7.2 * len(server.title)
        if x + width > WIDTH:
            x, y = 22, y + 20
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="5" fill="{COLOURS[server.key]}"/>')
        parts.append(f'<text x="{x + 10}" y="{y}" fill="#333">{escape(server.title)}</text>')
        x += width
    return parts


def _grid(x, low, high, height):
    parts = []
    for power in range(math.ceil(low), math.floor(high) + 1):
        ratio = 2.0**power
        colour = "#888" if power == 0 else "#eee"
        parts.append(
            f'<line x1="{x(ratio):.1f}" x2="{x(ratio):.1f}" y1="{TOP}" y2="{height - 30}" stroke="{colour}"/>'
            f'<text x="{x(ratio):.1f}" y="{height - 12}" text-anchor="middle" fill="#666">{ratio:g}×</text>'
        )
    return parts
