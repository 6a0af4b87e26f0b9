"""Draws docs/overview.svg from the penguins that ship: what a rule learnt on the source meets on the
target before and after the domains' moments are matched. Run: python3 docs/overview.py (no packages)."""
import csv
import statistics

COLUMNS = ("bill_depth_mm", "body_mass_g")
COLOURS = {"female": "#d9822b", "male": "#2b6cb0"}
WIDTH, HEIGHT, PAD = 360, 260, 44


def read(name):
    with open(f"examples/data/penguins/{name}.csv") as file:
        return [([float(r[c]) for c in COLUMNS], r["label"]) for r in csv.DictReader(file)]


def z_score(points, reference):
    stats = [(statistics.mean(c), statistics.stdev(c)) for c in zip(*[p for p, _ in reference])]
    return [([(v - m) / s for v, (m, s) in zip(p, stats)], label) for p, label in points]


def panel(left, title, caption, source, target):
    everything = [p for p, _ in source + target]
    low = [min(c) for c in zip(*everything)]
    high = [max(c) for c in zip(*everything)]

    def at(point):
        share = [(v - lo) / (hi - lo) for v, lo, hi in zip(point, low, high)]
        return left + PAD + share[0] * (WIDTH - 2 * PAD), 40 + HEIGHT - PAD - share[1] * (HEIGHT - 1.6 * PAD)

    out = [f'<text x="{left + WIDTH / 2}" y="30" class="title">{title}</text>',
           f'<rect x="{left + 24}" y="44" width="{WIDTH - 48}" height="{HEIGHT - 30}" class="frame"/>']
    for point, label in source:
        x, y = at(point)
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="none" stroke="{COLOURS[label]}"/>')
    for point, label in target:
        x, y = at(point)
        out.append(f'<rect x="{x - 2.6:.1f}" y="{y - 2.6:.1f}" width="5.2" height="5.2" fill="{COLOURS[label]}" opacity="0.75"/>')
    out.append(f'<text x="{left + WIDTH / 2}" y="{HEIGHT + 38}" class="caption">{caption}</text>')
    return out


adelie, gentoo = read("adelie"), read("gentoo")
joint = adelie + gentoo
parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 350" font-family="sans-serif" role="img" aria-label='
         '"Adelie and Gentoo penguins before and after matching moments">',
         "<style>.title{font-size:15px;font-weight:bold;text-anchor:middle;fill:#333}"
         ".caption{font-size:13px;text-anchor:middle;fill:#333}.frame{fill:#fafafa;stroke:#bbb}"
         ".key{font-size:12px;fill:#333}</style><rect width='740' height='350' fill='white'/>"]
parts += panel(0, "As uploaded", "source-only accuracy on the target: 52.9 %", z_score(adelie, joint), z_score(gentoo, joint))
parts += panel(370, "After adapting", "adapted accuracy on the target: 93.3 %", z_score(adelie, adelie), z_score(gentoo, gentoo))
parts.append('<circle cx="120" cy="329" r="4" fill="none" stroke="#333"/><text x="130" y="333" class="key">source: Adelie</text>'
             '<rect x="250" y="325" width="8" height="8" fill="#333"/><text x="264" y="333" class="key">target: Gentoo, labels unknown to the fit</text>')
for x, (label, colour) in zip((530, 610), COLOURS.items()):
    parts.append(f'<circle cx="{x}" cy="329" r="5" fill="{colour}"/><text x="{x + 10}" y="333" class="key">{label}</text>')
parts.append("</svg>")
with open("docs/overview.svg", "w") as file:
    file.write("\n".join(parts) + "\n")
