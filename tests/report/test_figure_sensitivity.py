"""The figure of a sweep over learning rates, and the page it stands on."""

from harness.report import figures, frames
from harness.report.html import render_html
from harness.run.journal import decode, encode


def drawn(factory, *records):
    """The figure of some sweeps."""
    return figures.sensitivity_figure(frames.rates_frame(factory.small_run(*records)))


def test_nothing_to_draw_without_a_sweep(factory):
    """A run of descents alone has no such figure."""
    assert drawn(factory, factory.descent("bowl")) is None


def test_basin_band_and_best_are_marked(factory):
    """The basin is a block over its rates, the band lies between the seeds, the best rate is a star."""
    figure = drawn(factory, factory.sweep("bowl"))
    (block,) = figure.layout.shapes
    assert (block.x0, block.x1) == (0.01, 1.0)
    band, middle, best, diverging, censored = figure.data
    assert (band.x, band.y) == ((0.01, 0.1, 1.0, 1.0, 0.1, 0.01), (400.0, 40.0, 60.0, 90.0, 50.0, 500.0))
    assert middle.y == (None, 450.0, 45.0, 75.0, None)
    assert (best.x, best.y) == ((0.1,), (45.0,))
    assert (diverging.x, censored.x, censored.y) == ((10.0,), (0.001,), (500.0,))


def test_without_a_basin_there_is_no_best_rate(factory):
    """Where no rate works, neither a block nor a star is drawn."""
    whole = factory.sweep("bowl")
    none = factory.sweep("bowl", basin=None, rates=whole.rates[:1] + whole.rates[-1:])
    figure = drawn(factory, none)
    assert not figure.layout.shapes
    assert [trace.x for trace in figure.data if trace.marker.symbol == "star"] == [()]


def test_sweeps_of_a_case_share_a_figure(factory):
    """Two optimizers of one case stand side by side, in colours of their own."""
    figure = drawn(factory, factory.sweep("bowl"), factory.sweep("bowl", run="Adam(), autograd", job="sweep bowl[1]"))
    assert len(figure.layout.shapes) == 2
    assert len({trace.line.color for trace in figure.data if trace.mode == "lines+markers"}) == 2


def test_the_page_shows_a_case_that_was_only_swept(factory):
    """A run of one sweep renders, the case in its table."""
    page = render_html(factory.small_run(factory.sweep("bowl")))
    assert "bowl" in page


def test_a_sweep_reads_back_as_it_was_written(factory):
    """A journal's line of a sweep gives the same record."""
    record = factory.sweep("bowl")
    assert decode(encode(record)) == record
