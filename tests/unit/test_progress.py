"""Several listeners are one progress."""

from mirror.progress import Progress, several


class Notes(Progress):
    """Takes down what it hears."""

    def __init__(self, name: str, heard: list[tuple[str, int]]) -> None:
        self._name, self._heard = name, heard

    def received(self, count: int) -> None:
        """Take it down."""
        self._heard.append((self._name, count))


def test_each_event_reaches_all_who_override_it() -> None:
    """In their order; an event that nobody overrides costs nothing and does nothing."""
    heard: list[tuple[str, int]] = []
    both = several(Notes("first", heard), Progress(), Notes("second", heard))
    both.received(7)
    both.expect(3)
    assert heard == [("first", 7), ("second", 7)]
    assert both.expect.__func__ is Progress.expect  # type: ignore[attr-defined]
