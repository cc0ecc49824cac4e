"""Performance and data profiles, the table of problems and optimizers, and what a page makes of them."""

from dataclasses import replace

import pytest

from harness.report import frames
from harness.report.comparison import OWN_GOAL, comparison_tables
from harness.report.figures_profiles import profiles_figure
from harness.report.html import page
from harness.report.panels_comparison import comparison
from harness.report.profiles import attempts, problem_frame, profile_words, profiles, target_text


@pytest.fixture
def compared(factory):
    """The frames of two optimizers on two problems, and of what is not to be compared with them."""
    run = factory.small_run(*factory.compared())
    return frames.converge_frame(run), frames.targets_frame(run)


def share_within(curve, cost):
    """The share of problems solved within a cost."""
    return max((share for at, share in zip(curve.costs, curve.shares, strict=True) if at <= cost), default=0.0)


def by_optimizer(curves):
    return {curve.optimizer: curve for curve in curves}


def test_one_case_from_two_starts_is_two_problems(compared):
    """Rprop starts elsewhere on "valley": what it needs is not comparable with the others."""
    placed = problem_frame(compared[0])
    valley = placed[placed["case"] == "valley"].groupby("optimizer")["problem"].unique()
    assert set(valley["SGD"]) == set(valley["Newton"])
    assert not set(valley["Rprop"]) & set(valley["SGD"])


def test_seeds_of_an_entry_are_one_problem(factory):
    """Seeds that draw other data start at other losses, and are still one problem."""
    run = factory.small_run(
        *(factory.descent("noisy", seed=seed, first_loss=1.0 + seed, minimum_loss=0.1 * seed) for seed in range(3))
    )
    assert problem_frame(frames.converge_frame(run))["problem"].nunique() == 1


def test_an_error_counts_on_the_only_problem_of_its_case(factory):
    """A descent that raised knows no losses; it must not vanish from its optimizer's share."""
    broken = factory.descent(
        "plain", job="converge plain[9]", optimizer="Broken", status="error", first_loss=None, seed=0, targets=()
    )
    run = factory.small_run(*factory.compared(), broken)
    (found, *_) = profiles(frames.converge_frame(run), frames.targets_frame(run))
    assert by_optimizer(found.performance)["Broken"].shares == ()


def test_performance_is_relative_to_the_best_of_the_problem(compared):
    """SGD takes 5 times Newton's evaluations on one of two problems, as many on the other."""
    (loose, _) = profiles(*compared)
    curves = by_optimizer(loose.performance)
    assert (loose.problems, set(curves)) == (2, {"SGD", "Newton"})
    assert [share_within(curves["Newton"], cost) for cost in (0.9, 1)] == [0.0, 1.0]
    assert [share_within(curves["SGD"], cost) for cost in (1, 4.9, 5)] == pytest.approx([0.5, 0.5, 1.0])


def test_censored_descents_never_count_as_solved(compared):
    """At 10⁻³ SGD missed one problem, and one of three seeds on the other: a third is all it ever solves."""
    (_, tight) = profiles(*compared)
    sgd = by_optimizer(tight.performance)["SGD"]
    assert share_within(sgd, float("inf")) == pytest.approx((2 / 3 + 0) / 2)
    assert [share_within(sgd, cost) for cost in (2, 4)] == pytest.approx([1 / 6, 2 / 6])


def test_data_profiles_count_in_units_of_parameters_and_one(compared):
    """Both problems have two parameters: 10 evaluations are 10/3 of the unit."""
    (loose, _) = profiles(*compared)
    assert by_optimizer(loose.data)["SGD"].costs == pytest.approx((2 / 3, 10 / 3))


def test_entries_declared_to_diverge_are_left_out(compared):
    """They show a bound; declared misses stay in."""
    tried = attempts(problem_frame(compared[0]), compared[1], 0.1)
    assert set(tried["job"]) == {"converge valley[0]", "converge valley[1]", "converge plain[0]", "converge plain[1]"}
    words = profile_words(profiles(*compared), compared[0])
    assert "2 problems that at least two of 2 optimizers" in words
    assert "1 entry declared to diverge" in words


def test_nothing_is_compared_with_one_optimizer(factory):
    """A single optimizer gives neither a profile nor a table."""
    run = factory.full_run()
    found = comparison(frames.converge_frame(run), frames.targets_frame(run))
    assert (found.panels, found.tables) == ((), ())
    assert profiles_figure(()) is None


def test_figure_has_a_choice_for_each_target(compared):
    """The traces of one target are shown, in both panels; those of the other wait for the reader."""
    figure = profiles_figure(profiles(*compared))
    assert figure.layout.meta["choices"] == ["τ = 10⁻¹", "τ = 10⁻³"]
    assert {trace.meta for trace in figure.data if trace.visible} == {"τ = 10⁻³"}
    assert {trace.xaxis for trace in figure.data if trace.visible} == {"x", "x2"}
    assert all(trace.line.shape == "hv" for trace in figure.data)
    assert figure.layout.xaxis.type == "log" and figure.layout.xaxis2.type == "log"


def test_table_names_evaluations_or_the_status_worst_first(compared):
    """A number is a median over those that arrived; the others are counted, or named with what they spent."""
    tables = {table.target: table for table in comparison_tables(*compared)}
    assert list(tables) == [OWN_GOAL, "τ = 10⁻¹", "τ = 10⁻³"]
    tight = tables["τ = 10⁻³"]
    assert [line.case for line in tight.lines][:2] == ["valley", "plain"]
    newton, sgd = (tight.optimizers.index(name) for name in ("Newton", "SGD"))
    valley, plain = tight.lines[:2]
    assert (valley.cells[newton].text, valley.cells[newton].tone) == ("4", "best")
    assert valley.cells[sgd].text == "> 160 · diverged" and valley.cells[sgd].tone == "declared"
    assert plain.cells[sgd].text == "12" and plain.cells[sgd].notes == ("8 to 16", "2 of 3 arrived")


def test_table_gives_the_reasons_of_declared_misses(compared):
    """What the case file announces is shown as announced, with its reason."""
    (_, _, tight) = comparison_tables(*compared)
    assert tight.lines[0].reasons == (
        ("SGD", "declared miss: the valley is <b>long</b>"),
        ("SGD", "declared to diverge"),
    )


def test_page_links_problems_to_their_cases_and_escapes_reasons(factory):
    """The section stands on the page, and nothing of a case file becomes an element."""
    text = page(factory.small_run(*factory.compared()), style="", plotly="", script="")
    assert '<h2 id="comparison-title">' in text and 'href="#case-valley"' in text
    assert "the valley is &lt;b&gt;long&lt;/b&gt;" in text
    assert text.count("<option>τ = 10⁻³</option>") == 1


@pytest.mark.parametrize(("tau", "shown"), [(0.1, "τ = 10⁻¹"), (1e-7, "τ = 10⁻⁷"), (0.02, "τ = 0.02")])
def test_targets_read_as_powers_of_ten(tau, shown):
    """A power of ten is written as one, any other number as it is."""
    assert target_text(tau) == shown


def test_starts_of_equal_loss_are_two_problems(factory):
    """A symmetric function has the same loss at many places; where starts are known, they tell problems apart."""
    here = factory.descent("bowl", first_loss=1.0)
    point = here.trajectory[0]
    mirrored = replace(point, parameters=tuple(-value for value in point.parameters))
    there = replace(here, job="converge bowl[1]", trajectory=(mirrored,))
    again = replace(here, job="converge bowl[2]", optimizer="Adam", run="Adam()")
    placed = problem_frame(frames.converge_frame(factory.small_run(here, there, again)))
    assert list(placed["problem"]) == [0, 1, 0]


def test_parameters_relative_to_the_start_do_not_hide_it(factory):
    """In units of its start every descent begins at one: its start is not shown, and is the others' all the same."""
    plain = factory.descent("bowl", first_loss=1.0)
    point = replace(plain.trajectory[0], parameters=(1.0, 1.0))
    words = "Adam(), autograd, relative to its start"
    relative = replace(plain, job="converge bowl[1]", optimizer="Adam", run=words, trajectory=(point,))
    placed = problem_frame(frames.converge_frame(factory.small_run(plain, relative)))
    assert list(placed["problem"]) == [0, 0]
    assert placed["start"].isna().tolist() == [False, True]
