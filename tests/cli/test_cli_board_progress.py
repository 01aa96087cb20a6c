"""What a person sees while a board is measured."""

import io

from rich.console import Console

from tinyedge.cli.board_progress import BoardProgress


def test_off_a_terminal_there_is_a_line_every_half_minute_with_the_time_left(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    text = io.StringIO()
    with BoardProgress(Console(file=text)) as progress:
        for done in range(1, 5):
            now[0] += 5
            progress.show("inputs", done, 4)
        for done in range(1, 4):
            now[0] += 20
            progress.show("accuracy", done, 10)
        progress.say("the line is back")
    assert text.getvalue().splitlines() == [
        "accuracy: 1 of 10, about 180 s left",
        "accuracy: 3 of 10, about 140 s left",
        "the line is back",
    ]


def test_on_a_terminal_the_bars_show_what_is_done():
    text = io.StringIO()
    with BoardProgress(Console(file=text, force_terminal=True, width=100)) as progress:
        progress.show("accuracy", 3, 10)
    assert "3/10" in text.getvalue()


def test_brackets_of_a_sentence_stay():
    text = io.StringIO()
    with BoardProgress(Console(file=text, width=100)) as progress:
        progress.say("the device answers e-[bold]")
    assert text.getvalue() == "the device answers e-[bold]\n"
