"""What `make panels` does, and that it would notice."""

from __future__ import annotations

from panels import Answer, Question, answers, questions, report
from programs import program


def test_every_query_of_every_panel_returns_data() -> None:
    """A real worker, a real Redis, a real Prometheus, asked all that Grafana would ask."""
    told = answers(program("prometheus", "the apt package prometheus"))
    empty = [answer.question for answer in told if not answer.with_numbers]
    assert not empty, report(told)


def test_an_empty_panel_is_noticed() -> None:
    """Series without a number count as empty, and the last line says how many there are."""
    told = [Answer(question, 1, 1) for question in questions()]
    told[0] = Answer(Question("maskwatch x", "Nothing A", "nothing", over_time=True), 3, 0)
    assert report(told).endswith(f" queries {len(told)} empty 1")
    assert "EMPTY nothing" in report(told)


def test_no_variable_is_left() -> None:
    """Each is filled in before Prometheus is asked."""
    assert not [question for question in questions() if "$" in question.expr]
