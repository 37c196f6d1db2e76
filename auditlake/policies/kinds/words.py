"""How pages and charts speak of a measure."""

from __future__ import annotations

from dataclasses import dataclass, fields

from auditlake.display.text import visible


@dataclass(frozen=True, slots=True)
class Words:
    """What a page says of a measure; a kind fills it in."""

    title: str
    """The name of its section."""
    heading: str
    """The heading of its section."""
    measured: str
    """What is measured, as a noun."""
    meaning: str
    """What the measure is at an instant."""
    stretch: str
    """What an episode is."""
    charted: str
    """What the chart of the days' peaks shows; {} in it is for "per UTC day"."""
    highest: str | None
    """What the largest is called, to follow "highest"; None where it says no more than the episodes do."""
    line: str | None
    """What the threshold is called; None where no peak is held against it."""
    reached: str
    """What is said of days, to be followed by which they are."""
    limit: str
    """What an episode is one of, in a few words."""
    found: str
    """What an episode is one of, in a sentence."""
    none: str
    """What there was not where there is no episode."""

    def visible(self) -> Words:
        """Return the words with what a policy brings into them made visible."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return Words(**{name: value and visible(value) for name, value in values.items()})
