"""Two sets of colours, for light and for dark ground.

The hues are Okabe and Ito's, told apart by colour-blind eyes, as tints for fillings and full for lines. The
scales for measured figures run evenly in lightness, away from the ground, so that no eye needs their hue:
on light ground ColorBrewer's YlOrBr (Harrower and Brewer 2003), on dark ground the like turned round.

>>> THEMES["dark"].phases["forward"]
('#103A55', '#56B4E9')
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """Colours by what they are for. A pair is a filling and its outline."""

    ground: str
    text: str
    grey: str  # lines and words of less weight
    pale: str  # lines that stand back
    frame: str
    band: str  # the filling of a level or a task
    phases: Mapping[str, tuple[str, str]]
    loss: tuple[str, str]
    sum: str
    tints: tuple[str, ...]  # for kinds of any sort: families of ops, regions, workers
    scale: tuple[str, ...]  # from low to high


THEMES = {
    "light": Theme(
        ground="#FFFFFF",
        text="#222222",
        grey="#666666",
        pale="#A0A0A0",
        frame="#BBBBBB",
        band="#F3F3F3",
        phases={
            "forward": ("#D6ECFA", "#0072B2"),
            "backward": ("#FDE8C4", "#B36B00"),
            "update": ("#D3EFE4", "#00775A"),
        },
        loss=("#F4CFE3", "#A0327E"),
        sum="#FBF3A6",
        tints=(
            "#D6ECFA", "#FDE8C4", "#D3EFE4", "#F6DBEA", "#FBF6BF", "#FBD0B5", "#C3CFEE", "#DDDDDD",
        ),
        scale=("#FFFFE5", "#FFF7BC", "#FEE391", "#FEC44F", "#FE9929", "#DD6A10", "#A33C03"),
    ),
    "dark": Theme(
        ground="#15171C",
        text="#EAEAEA",
        grey="#A8A8A8",
        pale="#75787F",
        frame="#4A4E57",
        band="#1F2229",
        phases={
            "forward": ("#103A55", "#56B4E9"),
            "backward": ("#4D3307", "#E69F00"),
            "update": ("#0C4032", "#2FC79A"),
        },
        loss=("#562345", "#E58BC0"),
        sum="#4F4A0A",
        tints=(
            "#103A55", "#4D3307", "#0C4032", "#562345", "#4F4A0A", "#5E2608", "#22305E", "#3C3F46",
        ),
        scale=("#241A12", "#452A10", "#6E420F", "#9C5F12", "#CC831F", "#F5AF45", "#FFE08A"),
    ),
}  # fmt: skip


def text_on(filling: str) -> str:
    """The colour of text that can be read on a filling: black or white, whichever is further off.

    >>> text_on("#00204C"), text_on("#FFE945")
    ('#FFFFFF', '#000000')
    """
    red, green, blue = (int(filling[at : at + 2], 16) for at in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 127 else "#FFFFFF"
