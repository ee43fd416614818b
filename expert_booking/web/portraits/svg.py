"""SVG elements as text."""


def curls(*circles: tuple[float, float, float]) -> str:
    """Path data of discs, each given as x, y, radius."""
    return "".join(f"M{x - r:g} {y}a{r} {r} 0 1 1 {2 * r:g} 0a{r} {r} 0 1 1 {-2 * r:g} 0z" for x, y, r in circles)


def path(data: str, fill: str, *, opacity: float = 1, rule: str = "nonzero") -> str:
    if not data:
        return ""
    translucent = f' opacity="{opacity:g}"' if opacity < 1 else ""
    hollow = f' fill-rule="{rule}"' if rule != "nonzero" else ""
    return f'<path d="{data}" fill="{fill}"{translucent}{hollow}/>'


def line(data: str, stroke: str, width: float) -> str:
    if not data:
        return ""
    return (
        f'<path d="{data}" fill="none" stroke="{stroke}" stroke-width="{width:g}"'
        ' stroke-linecap="round" stroke-linejoin="round"/>'
    )
