"""Draws a described computation graph as an inline SVG, laid out by Graphviz.

Lines and texts take the page's own text colour, so that one drawing suits light and dark pages. This knows nothing of
torch: it draws what the record says, and every text in it is escaped.
"""

from __future__ import annotations

import hashlib
import re
from html import escape
from xml.etree import ElementTree

import pygraphviz

from harness.records import Graph, GraphEdge, GraphNode

SVG = "http://www.w3.org/2000/svg"
FONT = "DejaVu Sans"
"""What Graphviz measures text with: a wide face, so that whatever the page uses fits."""
PAGE_FONT = "system-ui, 'DejaVu Sans', sans-serif"
FILLS = {"input": "#0072B2", "output": "#D55E00", "constant": "none", "operator": "none"}
"""Colours that people with any colour vision tell apart (Okabe and Ito), laid on thinly."""
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
PIXELS = 4 / 3
"""CSS pixels of one of Graphviz's points."""
SMALLEST = 0.7
"""How far a wide drawing may shrink before its texts cannot be read; then the page scrolls it."""
LONGEST = 60
"""Longest text put into a drawing; the rest is an ellipsis, and the full text is the tooltip."""


def draw_svg(graph: Graph, *, prefix: str | None = None) -> str:
    """Draw a graph from left to right: values on the nodes, partial derivatives on the edges.

    Args:
        graph: what to draw.
        prefix: what the drawing's ids start with; by default a digest of the graph, so that the ids of different
            drawings on one page differ.

    Returns:
        An ``<svg>`` element without XML prolog, the same for equal graphs.
    """
    root = ElementTree.fromstring(_layout(graph))
    prefix = prefix or "graph-" + hashlib.sha256(repr(graph).encode()).hexdigest()[:10]
    _fit_page(root, graph, prefix)
    _restyle(root, graph, prefix)
    ElementTree.register_namespace("", SVG)
    return ElementTree.tostring(root, encoding="unicode")


def mathematical(text: str) -> str:
    """Set the plain text of a number as mathematics: a true minus sign, powers of ten with raised exponents."""
    text = re.sub(
        r"(?<=\d)e(-?\d+)",
        lambda match: "·10" + str(int(match[1])).translate(SUPERSCRIPTS),
        text,
    )
    return re.sub(r"(?<![\w)])-(?=[\dIia-z])", "−", text)


def _layout(graph: Graph) -> bytes:
    sheet = pygraphviz.AGraph(directed=True, strict=False, rankdir="LR", ranksep="0.5", nodesep="0.25", pad="0.1")
    sheet.graph_attr.update(bgcolor="transparent")
    sheet.node_attr.update(shape="box", style="rounded", fontname=FONT, fontsize="12", margin="0.12,0.06", height="0.4")
    sheet.edge_attr.update(fontname=FONT, fontsize="11", arrowsize="0.7")
    names = {node.id: f"n{position}" for position, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        style = "rounded,dashed" if node.kind == "constant" else "rounded"
        sheet.add_node(names[node.id], label=_node_label(node), style=style)
    for position, edge in enumerate(graph.edges):
        style = "solid" if edge.partial is not None else "dashed"
        sheet.add_edge(names[edge.source], names[edge.target], key=f"e{position}", label=_edge_label(edge), style=style)
    drawn: bytes = sheet.draw(format="svg", prog="dot")
    return drawn


def _node_label(node: GraphNode) -> str:
    label = f"<b>{_markup(node.label)}</b>" if node.kind in ("input", "output") else _markup(node.label)
    value = f'<br/><font point-size="10">{_markup(node.value)}</font>' if node.value else ""
    return f"<{label}{value}>"


def _edge_label(edge: GraphEdge) -> str:
    return f"< {_markup(edge.partial)} >" if edge.partial else ""


def _markup(text: str) -> str:
    text = mathematical(_printable(text))
    short = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return escape(short).replace("\\", "\\\\") or " "  # Graphviz reads \N as the node's name, even here


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _fit_page(root: ElementTree.Element, graph: Graph, prefix: str) -> None:
    """Size the drawing for a page and say in words what it shows."""
    width, height = (float(part) * PIXELS for part in (root.get("viewBox") or "0 0 0 0").split()[2:])
    root.set("width", f"{width:.0f}")
    root.set("height", f"{height:.0f}")
    root.set("style", f"max-width: 100%; min-width: {width * SMALLEST:.0f}px; height: auto")
    root.set("class", "computation-graph")
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title")
    title = ElementTree.Element(f"{{{SVG}}}title", id=f"{prefix}-title")
    more = f"; {graph.omitted} further nodes are left out" if graph.omitted else ""
    title.text = (
        f"Computation graph with {len(graph.nodes)} nodes and {len(graph.edges)} edges: "
        f"values on the nodes, local partial derivatives on the edges{more}"
    )
    root.insert(0, title)


def _restyle(root: ElementTree.Element, graph: Graph, prefix: str) -> None:
    """Give elements the page's colours and font, ids of their own, and tooltips."""
    nodes = {f"n{position}": node for position, node in enumerate(graph.nodes)}
    labels = {node.id: node.label for node in graph.nodes}
    edges = {f"n{_position(graph, edge.source)}->n{_position(graph, edge.target)}": edge for edge in graph.edges}
    for element in root.iter():
        for attribute in ("stroke", "fill"):
            if element.get(attribute) == "black":
                element.set(attribute, "currentColor")
        if element.tag == f"{{{SVG}}}text":
            element.set("fill", "currentColor")
            element.set("font-family", PAGE_FONT)
        if element.get("id") and element is not root and not str(element.get("id")).startswith(prefix):
            element.set("id", f"{prefix}-{element.get('id')}")
        title = element.find(f"{{{SVG}}}title")
        if title is None or element is root:
            continue
        if element.get("class") == "node":
            _restyle_node(element, title, nodes[str(title.text)])
        elif element.get("class") == "edge":
            edge = edges[str(title.text)]
            partial = mathematical(_printable(edge.partial)) if edge.partial else "not defined"
            title.text = f"∂({_printable(labels[edge.target])})/∂({_printable(labels[edge.source])}): {partial}"
        else:
            element.remove(title)


def _restyle_node(element: ElementTree.Element, title: ElementTree.Element, node: GraphNode) -> None:
    element.set("class", f"node {node.kind}")
    title.text = f"{_printable(node.label)}: {mathematical(_printable(node.value))}"
    outline = element.find(f"{{{SVG}}}path")
    if outline is not None and FILLS[node.kind] != "none":
        outline.set("fill", FILLS[node.kind])
        outline.set("fill-opacity", "0.15")
        outline.set("stroke", FILLS[node.kind])
        outline.set("stroke-width", "1.5")


def _position(graph: Graph, node_id: str) -> int:
    return next(position for position, node in enumerate(graph.nodes) if node.id == node_id)
