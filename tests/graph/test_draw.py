"""Tests of harness.graph.draw: the drawing is valid, complete, escaped and repeatable."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from harness.graph.draw import draw_svg, mathematical
from harness.records import Graph, GraphEdge, GraphNode

NODES = (
    GraphNode(id="a", label="a", kind="input", value="2"),
    GraphNode(id="k", label="constant", kind="constant", value="-3"),
    GraphNode(id="#2", label="c = add", kind="operator", value="1e-05"),
    GraphNode(id="#3", label="mul", kind="output", value="6"),
)
EDGES = (
    GraphEdge(source="a", target="#2", partial="-1"),
    GraphEdge(source="k", target="#2", partial=None),
    GraphEdge(source="#2", target="#3", partial="3×3 Jacobian, ‖J‖ = 2"),
)
GRAPH = Graph(nodes=NODES, edges=EDGES, omitted=7)
NASTY = "<script>&\"']]>\\N\x00"


def texts(svg: str) -> list[str]:
    """Texts that are drawn."""
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_every_label_value_and_partial_is_drawn() -> None:
    """All labels, values and partials must be among the drawing's texts."""
    drawn = [text.strip() for text in texts(draw_svg(GRAPH))]
    expected = ["a", "2", "constant", "−3", "c = add", "1·10⁻⁵", "mul", "6", "−1", "3×3 Jacobian, ‖J‖ = 2"]
    assert sorted(drawn) == sorted(expected)


def test_it_can_stand_inside_a_page() -> None:
    """The drawing must be an svg element without prolog, document type or comments."""
    svg = draw_svg(GRAPH)
    assert svg.startswith("<svg ")
    assert "<!" not in svg and "<?" not in svg


def test_colours_follow_the_page() -> None:
    """No line or text may be black or stand on white, or it vanishes on a dark page."""
    svg = draw_svg(GRAPH)
    assert "black" not in svg and "white" not in svg
    assert "currentColor" in svg


def test_drawing_is_repeatable() -> None:
    """Equal graphs must give equal drawings."""
    assert draw_svg(GRAPH) == draw_svg(Graph(nodes=NODES, edges=EDGES, omitted=7))


def test_ids_of_two_drawings_differ() -> None:
    """Two drawings on a page must share no id."""
    ids = [set(re.findall(r' id="([^"]+)"', draw_svg(g))) for g in (GRAPH, Graph(nodes=NODES, edges=EDGES))]
    assert ids[0] and not ids[0] & ids[1]


def test_it_says_in_words_what_it_shows() -> None:
    """A screen reader must find a title that counts nodes, edges and what is left out."""
    root = ElementTree.fromstring(draw_svg(GRAPH))
    title = root[0]
    assert root.get("aria-labelledby") == title.get("id")
    assert title.text is not None and "4 nodes and 3 edges" in title.text and "7 further" in title.text


def test_undefined_partials_are_dashed() -> None:
    """An edge without a derivative must look different and say so."""
    svg = draw_svg(GRAPH)
    edge = re.search(
        r"<g [^>]*class=\"edge\"[^>]*>\s*<title>∂\(c = add\)/∂\(constant\): not defined</title>(.*?)</g>", svg, re.S
    )
    assert edge is not None and "stroke-dasharray" in edge[1]


@pytest.mark.parametrize("place", ["id", "label", "value", "partial"])
def test_texts_are_escaped(place: str) -> None:
    """No text from a case may become markup, a Graphviz escape or a character that XML forbids."""
    chosen = {"id": "a", "label": "a", "value": "a", "partial": "a", place: NASTY}
    node = GraphNode(id=chosen["id"], label=chosen["label"], kind="input", value=chosen["value"])
    edge = GraphEdge(source=chosen["id"], target="b", partial=chosen["partial"])
    svg = draw_svg(Graph(nodes=(node, GraphNode(id="b", label="b", kind="output", value="")), edges=(edge,)))
    assert "<script" not in svg
    assert place == "id" or any("\\N" in text for text in texts(svg))


@pytest.mark.parametrize(
    ("plain", "set_"),
    [
        ("-1.5", "−1.5"),
        ("2e-9", "2·10⁻⁹"),
        ("1e6 I", "1·10⁶ I"),
        ("-I", "−I"),
        ("[-1, -2]", "[−1, −2]"),
        ("layer-norm", "layer-norm"),
    ],
)
def test_numbers_are_set_as_mathematics(plain: str, set_: str) -> None:
    """Minus signs and powers of ten must be set properly, and hyphens left alone."""
    assert mathematical(plain) == set_
