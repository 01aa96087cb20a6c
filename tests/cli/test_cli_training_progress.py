"""What a person sees while training runs."""

import io

from rich.console import Console

from tinyedge.cli.training_progress import TrainingProgress


def test_off_a_terminal_a_line_comes_soon_then_every_quarter_minute_and_at_the_end(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    text = io.StringIO()
    with TrainingProgress(Console(file=text)) as progress:
        progress.say("training [bold] digits")
        progress.show("step", 10, 20)
        for done in range(11, 21):
            now[0] += 5
            progress.show("step", done, 20, f"loss {done}.0")
    assert text.getvalue().splitlines() == [
        "training [bold] digits",
        "step 11/20  loss 11.0  left 45 s",
        "step 15/20  loss 15.0  left 25 s",
        "step 19/20  loss 19.0  left 5 s",
        "step 20/20  loss 20.0  left 0 s",
    ]


def test_what_has_no_detail_is_counted_too(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    text = io.StringIO()
    with TrainingProgress(Console(file=text)) as progress:
        progress.show("teacher's features, part", 2, 4)
        now[0] += 30
        progress.show("teacher's features, part", 3, 4)
    assert text.getvalue() == "teacher's features, part 3/4  left 30 s\n"


def test_on_a_terminal_each_training_has_a_bar():
    text = io.StringIO()
    with TrainingProgress(Console(file=text, force_terminal=True, width=100)) as progress:
        for total in (2, 3):
            for done in range(total + 1):
                progress.show("step", done, total, "loss 1.5")
    assert "2/2" in text.getvalue()
    assert "3/3" in text.getvalue()
    assert "loss 1.5" in text.getvalue()


def test_a_training_that_is_done_already_shows_nothing():
    text = io.StringIO()
    with TrainingProgress(Console(file=text)) as progress:
        progress.show("step", 5, 5)
    assert text.getvalue() == ""
