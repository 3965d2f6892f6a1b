"""The picture in docs/quantization.md: perplexity against sparsity, drawn from docs/data/pruning.json.

python -m benchmarks.pruning_picture
"""

import json
import math
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 300, 60, 40, 20
COLOURS = {"magnitude": "#b8432f", "wanda": "#2b6cb0"}


def main() -> None:
    """Write docs/pruning.svg."""
    data = json.loads((DOCS / "data" / "pruning.json").read_text())
    curves = {
        score: [(0.0, data["dense"]), *((float(share), found) for share, found in sorted(steps.items()))]
        for score, steps in data["perplexity"].items()
    }
    top = math.ceil(math.log10(max(found for curve in curves.values() for _, found in curve)))

    def at(share: float, found: float) -> tuple[float, float]:
        across = LEFT + share / 0.5 * (WIDTH - LEFT - 20)
        up = (math.log10(found) - 1) / max(top - 1, 1)
        return across, HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

    parts = []
    for power in range(1, top + 1):
        across, up = at(0, 10**power)
        parts.append(f'<path d="M{across} {up:.1f}H{WIDTH - 20}" stroke="#ddd"/>')
        parts.append(f'<text x="{across - 8}" y="{up + 4:.1f}" text-anchor="end">{10**power}</text>')
    for share in (0, 0.1, 0.2, 0.3, 0.4, 0.5):
        across, up = at(share, 10)
        parts.append(f'<text x="{across:.1f}" y="{up + 18:.1f}" text-anchor="middle">{share:.0%}</text>')
    for row, (score, curve) in enumerate(curves.items()):
        points = [at(*point) for point in curve]
        line = "M" + "L".join(f"{across:.1f} {up:.1f}" for across, up in points)
        parts.append(f'<path d="{line}" fill="none" stroke="{COLOURS[score]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{COLOURS[score]}"/>' for x, y in points]
        parts.append(
            f'<text x="{LEFT + 14}" y="{TOP + 14 + 18 * row}" fill="{COLOURS[score]}">{score}</text>'
        )
    parts.append(
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">zeros in the projections</text>'
    )
    (DOCS / "pruning.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


if __name__ == "__main__":
    main()
