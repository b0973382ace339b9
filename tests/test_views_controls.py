"""Controls, driven as a notebook drives them: no browser, and never a traceback for a reader."""

from __future__ import annotations

import pytest

from memsim import Machine
from memsim.mm.page_alloc import buddy
from memsim.views import charts, source
from memsim.views.bench import Bench
from memsim.views.buddies import Buddies
from memsim.views.controls import Prediction, Predictions, Question, status
from memsim.views.lesson02 import free_some, pages_by_order


def test_a_prediction_can_change_until_it_is_revealed() -> None:
    prediction = Prediction("How many?", ["one", "two"])
    assert prediction.answer is None
    prediction.radio.value = "one"
    assert "Noted." in prediction.said.value
    prediction.radio.value = "two"
    verdict = prediction.reveal("two", "Because.")
    assert verdict.is_right
    assert str(verdict) == "As you predicted: two. Because."
    assert prediction.radio.disabled


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("one", "You predicted: one. It is: two. Because."),
        (None, "You predicted nothing. It is: two. Because."),
    ],
)
def test_a_wrong_or_missing_prediction_is_told_the_answer(chosen: str | None, said: str) -> None:
    prediction = Prediction("How many?", ["one", "two"])
    prediction.radio.value = chosen
    assert str(prediction.reveal("two", "Because.")) == said
    assert said in prediction.said.value


def test_a_prediction_is_revealed_as_one_of_its_answers_only() -> None:
    with pytest.raises(ValueError, match="'three' is none of the answers"):
        Prediction("How many?", ["one", "two"]).reveal("three", "")


def test_predictions_can_be_asked_twice_and_revealed_without_being_asked() -> None:
    predictions = Predictions()
    assert not predictions.reveal("a", "two", "Because.").is_right
    predictions.ask("a", "How many?", ["one", "two"]).radio.value = "one"
    asked = predictions.ask("a", "How many?", ["one", "two"])
    assert asked.answer is None
    assert "It is: two" in str(predictions.reveal("a", "two", "Because."))
    assert asked.radio.disabled


def test_a_question_gives_a_reason_for_every_answer() -> None:
    question = Question("Which?", {"a": "It is a.", "b": "It is not b."}, right="a")
    question.radio.value = "b"
    assert "Not so: It is not b." in question.said.value
    question.radio.value = "a"
    assert "Right: It is a." in question.said.value
    assert question.verdict(None) == "Nothing is chosen."
    with pytest.raises(ValueError, match="'c' is none of the answers"):
        Question("Which?", {"a": ""}, right="c")


def test_text_in_a_status_line_stays_text() -> None:
    assert "<b>" not in status("<b>'\"&")


@pytest.mark.parametrize("order", range(6))
@pytest.mark.parametrize("pfn", [0, 5, 12, 63])
def test_flipping_the_bit_twice_comes_back(pfn: int, order: int) -> None:
    buddies = Buddies(64)
    buddies.pfn.value, buddies.order.value = pfn, order
    block = buddies.block
    assert block <= pfn < block + (1 << order)
    assert buddies.buddy == buddy._find_buddy_pfn(block, order)
    buddies.flip.click()
    assert buddies.block == block ^ 1 << order
    buddies.flip.click()
    assert buddies.block == block


def test_the_buddy_widget_says_what_it_shows_and_stops_at_its_ends() -> None:
    buddies = Buddies(64)
    buddies.pfn.value, buddies.order.value = 10**6, 99
    assert (buddies.pfn.value, buddies.order.value) == (63, 5)
    assert buddies.text() == (
        "pfn 63 is in this block. Block: pfn 32 = 0b100000, order 5. Flip bit 5, worth 32: the "
        "buddy is pfn 0 = 0b000000. Together they are the block at pfn 0, order 6."
    )
    assert buddies.text() in buddies.picture.value


def test_the_bench_allocates_frees_undoes_and_does_again() -> None:
    bench = Bench(Machine.of_pages(64))
    start = bench.machine.nr_free()
    bench.order.value = 3
    bench.alloc.click()
    bench.alloc.click()
    assert [pfn for _, pfn in bench.block.options] == [0, 8]
    assert bench.block.value == 0
    assert bench.player.step == bench.player.last_step > 0
    bench.block.value = 8
    bench.free.click()
    assert bench.text().startswith("Freed: pfn 8.\n")
    bench.undo.click()
    assert bench.text().startswith("Undone: free_pages(pfn 8, order=3).\nStep 0 of 0: ")
    bench.redo.click()
    assert bench.text().startswith("Done again: free_pages(pfn 8, order=3).\nStep ")
    for _ in range(3):
        bench.undo.click()
    assert bench.machine.nr_free() == start
    bench.machine.validate()


def test_what_the_machine_refuses_is_one_line_and_changes_nothing() -> None:
    bench = Bench(Machine.of_pages(64))
    start = bench.machine.nr_free()
    for button, line in [
        (bench.undo, "Refused: nothing to undo"),
        (bench.redo, "Refused: nothing to redo"),
        (bench.free, "No block is allocated: there is nothing to free."),
    ]:
        button.click()
        assert bench.text().splitlines()[0] == line
    bench.order.value = 10**9
    assert bench.order.value == 10
    bench.alloc.click()
    assert bench.text().startswith("Refused: page allocation failure: order:10, ")
    assert bench.machine.nr_free() == start


def test_source_quotes_the_function_that_runs() -> None:
    quoted = source(buddy.expand)
    assert quoted.text.startswith("def expand(zone: Zone")
    assert "\n    while high > low:\n" in quoted.text
    assert quoted.where.startswith("memsim/mm/page_alloc/buddy.py, line ")
    assert quoted._repr_markdown_().endswith("    return nr_added\n```\n")


def test_a_chart_has_words_sends_nothing_and_has_no_background() -> None:
    figure = charts.bars({"before": [1, 0], "after": [0, 2]}, "title", "order", "blocks")
    shown = charts.bundle(figure, "In words.")
    assert shown["text/plain"] == "In words."
    chart = shown["application/vnd.plotly.v1+json"]
    assert chart["config"]["showSendToCloud"] is False
    assert chart["config"]["displaylogo"] is False
    assert chart["layout"]["paper_bgcolor"] == "rgba(0,0,0,0)"
    shapes = [trace["marker"]["pattern"]["shape"] for trace in chart["data"]]
    assert len(set(shapes)) == len(shapes)  # told apart without colour


@pytest.mark.parametrize(("values", "angle"), [([45_124] * 6, 0), ([45_124] * 7, -90)])
def test_numbers_above_bars_stand_on_end_where_there_are_many(
    values: list[int], angle: int
) -> None:
    figure = charts.bars({"small": values, "large": values}, "title", "what", "KiB")
    assert [trace.textangle for trace in figure.data] == [angle, angle]


def test_long_words_below_bars_are_folded_and_have_room() -> None:
    figure = charts.bars({"pages": [1, 2]}, "title", "", "", ["slab that cannot be reclaimed", 7])
    assert list(figure.data[0].x) == ["slab that cannot<br>be reclaimed", "7"]
    assert charts.themed(figure).layout.xaxis.automargin


def test_free_some_frees_what_it_is_told() -> None:
    machine = free_some([0, 1, 3], nr_pages=4)
    assert machine.nr_free()[:3] == [1, 1, 0]
    assert pages_by_order(machine)[:3] == [1, 2, 0]
