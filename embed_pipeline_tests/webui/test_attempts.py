"""Guessing is slow."""

from embed_pipeline.webui.attempts import FREE, LONGEST, MOST_KEYS, Attempts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_five_wrong_ones_each_doubles_the_pause():
    clock = Clock()
    attempts = Attempts(clock)
    pauses = []
    for _ in range(16):
        attempts.failed("anna")
        pauses.append(attempts.pause("anna"))
        clock.now += pauses[-1]
    assert pauses[: FREE - 1] == [0.0] * (FREE - 1)
    assert pauses[FREE - 1 : FREE + 3] == [1.0, 2.0, 4.0, 8.0]
    assert pauses[-1] == LONGEST


def test_a_right_one_and_a_quarter_of_an_hour_forget():
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(8):
        attempts.failed("anna", "bob")
    attempts.succeeded("anna")
    assert attempts.pause("anna") == 0
    assert attempts.pause("anna", "bob") > 0
    clock.now += 1000
    attempts.failed("bob")
    assert attempts.pause("bob") == 0


def test_the_memory_is_bounded():
    attempts = Attempts(Clock())
    for number in range(MOST_KEYS + 10):
        attempts.failed(str(number))
    assert len(attempts._wrong) == MOST_KEYS
