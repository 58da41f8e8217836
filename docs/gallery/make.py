"""The gallery: each sample graph at each level, and live pages of some. One command makes all of it:

    python docs/gallery/make.py

writes pictures/, the pages, index.md and index.html beside this file. `--pages all` makes a page of every
sample (about 1 MB each, so few are kept), `--only rnn,fnn` makes the pictures of these again.

Samples are built with parameters that keep them small: a picture is to be read. A level at which a sample
has more than MOST_NODES nodes is not drawn; the live page folds it. What would be a large SVG file is a PNG.
"""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import click
from PIL import Image

from dagexec.graph import Graph
from dagexec.graphfile import Built, GraphFile, graph_of, load
from dagexec.rewrite import scalarize

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GRAPHS = Path("graphs")  # seen from ROOT, so that no picture names a folder outside of the repository
PICTURES = HERE / "pictures"
MOST_NODES = 240  # of an ops or scalar picture
LARGEST_SVG = 200_000  # bytes
WIDEST = 3200  # pixels of a PNG
COLORS = 64  # of a PNG: fillings, lines, and the greys of its text
LIVE = ("rnn", "word_count")  # the pages that are kept
LEVELS = {
    "high": "regions folded",
    "ops": "every operation",
    "scalar": "every operation on numbers",
}


@dataclass(frozen=True)
class Sample:
    """A graph file with its parameters; `ops` and `scalar` are smaller ones for these levels.

    Without `scalar` it is not drawn at the scalar level.
    """

    name: str
    parameters: dict[str, str] = field(default_factory=dict)
    ops: dict[str, str] | None = None
    scalar: dict[str, str] | None = None


@dataclass(frozen=True)
class Shown:
    """A picture in the gallery, and the command that draws it."""

    path: Path
    title: str
    command: str


SAMPLES = (
    Sample(
        "rnn",
        {"steps": "6"},
        ops={"steps": "2"},
        scalar={"steps": "2", "batch": "1", "features": "1", "hidden": "1", "outputs": "1"},
    ),
    Sample("vector_self_sum", scalar={}),
    Sample("matrix_vector", scalar={}),
    Sample("first_steps", {"what": "multiply"}, scalar={"what": "multiply"}),
    Sample("equation", scalar={}),
    Sample("equation_system"),
    Sample("line", scalar={"points": "2", "batch": "2"}),
    Sample("overfitting", scalar={"points": "2"}),
    Sample("circle", scalar={"hidden": "2", "grid": "1"}),
    Sample("circle_scalar", {"hidden": "2", "grid": "1"}),
    Sample("fnn", scalar={"layers": "2,3,1", "batch": "1"}),
    Sample("digits_mlp", ops={"depth": "1", "optimiser": "sgd"}),
    Sample("autoencoder", {"hidden": "32"}),
    Sample("digits_cnn"),
    Sample("vgg"),
    Sample("convolution_1d"),
    Sample("convolution_2d"),
    Sample("sequence_classifier"),
    Sample("time_series", {"window": "4"}),
    Sample("text_classification"),
    Sample("tagging"),
    Sample("language_model", {"model": "transformer"}),
    Sample("transformer_classifier", {"layers": "1"}),
    Sample("translation"),
    Sample("translation_transformer"),
    Sample("genetic", {"population": "4", "elite": "1", "tournament": "2"}),
    Sample("data_parallel"),
    Sample("word_count"),
)
# Other ways to look, each at one sample.
VIEWS = (
    (
        "rnn",
        {"steps": "2"},
        {"level": "ops", "style": "bipartite"},
        "values are squares, operations ellipses",
    ),
    ("rnn", {"steps": "3"}, {"level": "ops", "group": "level"}, "each row can run at the same time"),
    ("fnn", {}, {"level": "ops", "group": "task"}, "what threads run as one task"),
    ("circle", {}, {"level": "ops", "color": "op"}, "coloured by family of operation"),
)


# --- pictures -------------------------------------------------------------------------------------------
def pictures_of(sample: Sample) -> Iterator[Shown]:
    """Draw a sample at each level at which it is small enough."""
    file = load(GRAPHS / f"{sample.name}.py")
    ops = sample.parameters if sample.ops is None else sample.ops
    for level, parameters in (("high", sample.parameters), ("ops", ops), ("scalar", sample.scalar)):
        if parameters is not None:
            graph = graph_of(file.built(parameters))
            if is_shown(graph, level):
                yield drawn(sample.name, parameters, graph, {"level": level}, LEVELS[level])


def is_shown(graph: Graph, level: str) -> bool:
    """Whether there is anything to fold, or few enough nodes to be drawn one by one."""
    if level == "high":
        return any(node.scope for node in graph.nodes) or len(graph) > MOST_NODES
    return len(scalarize(graph) if level == "scalar" else graph) <= MOST_NODES


def views_of(name: str) -> Iterator[Shown]:
    """Draw a sample in the other ways."""
    for of, parameters, choices, title in VIEWS:
        if of == name:
            graph = graph_of(load(GRAPHS / f"{name}.py").built(parameters))
            yield drawn(name, parameters, graph, choices, title)


def drawn(name: str, parameters: dict[str, str], graph: Graph, choices: dict[str, str], title: str) -> Shown:
    """Draw one picture: SVG if that is small, else PNG."""
    path = PICTURES / f"{name}_{'_'.join(choices.values())}.svg"
    graph.draw(path, **choices)  # type: ignore[arg-type]
    if path.stat().st_size > LARGEST_SVG:
        path.unlink()
        path = path.with_suffix(".png")
        graph.draw(path, **choices)  # type: ignore[arg-type]
        shrink(path)
    else:  # tooltips name lines of code
        path.write_text(path.read_text(encoding="utf-8").replace(f"{ROOT}/", ""), encoding="utf-8")
    options = [f"-p {key}={value}" for key, value in parameters.items()]
    options += [f"--{key} {value}" for key, value in choices.items()]
    command = " ".join(["dagexec draw", f"graphs/{name}.py", *options, "-o", path.name])
    click.echo(f"{path.name}: {len(graph)} nodes, {path.stat().st_size / 1e3:.0f} kB")
    return Shown(path, title, command)


def shrink(path: Path) -> None:
    """A PNG of at most WIDEST pixels and few colours."""
    with Image.open(path) as image:
        small = image.convert("RGB")
    small.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    small.quantize(COLORS).save(path, optimize=True)


# --- pages ----------------------------------------------------------------------------------------------
def write_page(sample: Sample) -> Path:
    """The live page of a sample, with its runs on two workers."""
    file: GraphFile = load(GRAPHS / f"{sample.name}.py")
    built: Built = file.built(sample.parameters)
    path = HERE / f"{sample.name}.html"
    graph = graph_of(built)
    runs = ("serial", "threads", "processes")
    graph.to_html(path, *built.args, runs=runs, workers=2, file=file.path)
    click.echo(f"{path.name}: {len(graph)} nodes, {path.stat().st_size / 1e6:.2f} MB")
    return path


# --- the two indexes ------------------------------------------------------------------------------------
def entries() -> Iterator[tuple[Sample, str, list[Shown]]]:
    """Each sample that has pictures, what its file says it is, and these."""
    for sample in SAMPLES:
        file = load(GRAPHS / f"{sample.name}.py")
        yield sample, file.doc, [*pictures_of(sample), *views_of(sample.name)]


HEADING = """# Gallery

Each sample of [graphs/](../../graphs) at each level of detail at which it can be read: forward is blue,
backward orange, each backward box beside its forward twin. Made by `python docs/gallery/make.py`.

Live pages, to be opened in a browser as [index.html](index.html), this page: {live}. The others are made by
`python docs/gallery/make.py --pages all`, or one by `dagexec view graphs/fnn.py -o fnn.html`;
[docs/page.md](../page.md) says what a page shows.
"""


def markdown(found: list[tuple[Sample, str, list[Shown]]]) -> str:
    """index.md."""
    live = ", ".join(f"[{name}]({name}.html)" for name in LIVE)
    lines = [HEADING.format(live=live)]
    for sample, doc, shown in found:
        lines += [f"## {sample.name}", "", doc, ""]
        lines += [f"[Live page]({sample.name}.html)", ""] if sample.name in LIVE else []
        for one in shown:
            target = quote(str(one.path.relative_to(HERE)))
            lines += [f"**{one.title}**: `{one.command}`", "", f"[![{one.title}]({target})]({target})", ""]
    return "\n".join(lines)


STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
figure { margin: 1rem 0 2rem }
figcaption { margin-bottom: .4rem }
code { font-size: .85em; opacity: .7 }
img { max-width: 100%; max-height: 40rem; border: 1px solid #8886; background: #fff }
nav { columns: 12rem }
nav a { display: block }
"""
HEAD = f"""<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dagexec: gallery</title>
<style>{STYLE}</style>"""


SIGNS = (
    "Forward is blue: what a program computes. Backward is orange: its gradients, from the result back to "
    "the inputs. Each backward box stands beside its forward twin, the operation whose gradient rule made it."
)


def web_page(found: list[tuple[Sample, str, list[Shown]]]) -> str:
    """index.html."""
    live = ", ".join(f'<a href="{name}.html">{name}</a>' for name in LIVE)
    links = "".join(f'<a href="#{sample.name}">{sample.name}</a>' for sample, _, _ in found)
    body = [f"<h1>Gallery</h1><p>{SIGNS} Live pages: {live}.</p><nav>{links}</nav>"]
    for sample, doc, shown in found:
        page = f' <a href="{sample.name}.html">Live page.</a>' if sample.name in LIVE else ""
        body.append(f'<h2 id="{sample.name}">{sample.name}</h2><p>{html.escape(doc)}{page}</p>')
        for one in shown:
            target = quote(str(one.path.relative_to(HERE)))
            caption = f"{html.escape(one.title)}<br><code>{html.escape(one.command)}</code>"
            picture = (
                f'<a href="{target}"><img loading="lazy" src="{target}" alt="{html.escape(one.title)}"></a>'
            )
            body.append(f"<figure><figcaption>{caption}</figcaption>{picture}</figure>")
    inside = "\n".join(body)
    return f'<!doctype html>\n<html lang="en">\n<head>\n{HEAD}\n</head>\n<body>\n{inside}\n</body>\n</html>\n'


@click.command()
@click.option(
    "--pages", default=",".join(LIVE), show_default=True, help="Samples with a live page; all, or none."
)
@click.option("--only", default="", help="Draw the pictures of these alone, and leave the indexes.")
def main(pages: str, only: str) -> None:
    """Write the gallery."""
    os.chdir(ROOT)
    PICTURES.mkdir(exist_ok=True)
    known = {sample.name: sample for sample in SAMPLES}
    for name in [] if pages == "none" else known if pages == "all" else pages.split(","):
        if name not in known:
            raise click.BadParameter(f"{name!r} is no sample; there are {', '.join(known)}")
        write_page(known[name])
    if only:
        for name in only.split(","):
            list(pictures_of(known[name])) + list(views_of(name))
        return
    found = list(entries())
    kept = {one.path for _, _, shown in found for one in shown}
    for path in set(PICTURES.iterdir()) - kept:
        path.unlink()
    (HERE / "index.md").write_text(markdown(found), encoding="utf-8")
    (HERE / "index.html").write_text(web_page(found), encoding="utf-8")
    size = sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file())
    click.echo(f"{len(kept)} pictures, {size / 1e6:.1f} MB in all")


if __name__ == "__main__":
    main()
