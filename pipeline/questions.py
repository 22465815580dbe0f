"""What is asked in one request: a window of one listing, or of several that share it.

What belongs here: putting windows together, and taking them apart again. Not here: asking.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeVar

from pipeline.intervals import Interval
from pipeline.listing import Listing
from pipeline.providers.capabilities import Sharing

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """What is asked about one listing.

    Attributes:
        listing: The listing.
        window: The minutes.
    """

    listing: Listing
    window: Interval


@dataclass(frozen=True, slots=True)
class Question:
    """What one request asks for.

    Attributes:
        parts: What of it is meant for whom; at least one, each listing once.
    """

    parts: tuple[Part, ...]

    @property
    def window(self) -> Interval:
        """The shortest window that holds all parts: it is asked for every listing."""
        windows = [part.window for part in self.parts]
        return Interval(min(one.start for one in windows), max(one.end for one in windows))

    @property
    def shared(self) -> bool:
        """Whether it is about more than one listing."""
        return len(self.parts) > 1

    def halves(self) -> tuple[Self, Self]:
        """Take a shared question apart."""
        middle = len(self.parts) // 2
        return type(self)(self.parts[:middle]), type(self)(self.parts[middle:])

    def without(self, listing: Listing) -> Self | None:
        """Return what is left of it when a listing is not asked about; None if nothing is."""
        parts = tuple(part for part in self.parts if part.listing.id != listing.id)
        return type(self)(parts) if parts else None


def questions(parts: Iterable[Part], sharing: Sharing | None) -> list[Question]:
    """Put what is to be asked into few requests.

    Args:
        parts: The windows. Without sharing each is a question, in the order given.
        sharing: How many listings one request may be about, and for how many minutes in all.
    """
    if sharing is None:
        return [Question((part,)) for part in parts]
    asked: list[Question] = []
    together: tuple[Part, ...] = ()
    for part in sorted(parts, key=lambda part: (part.window.start, part.window.end)):
        if together and not _fits(Question((*together, part)), sharing):
            asked.append(Question(together))
            together = ()
        together += (part,)
    return [*asked, Question(together)] if together else asked


def _fits(question: Question, sharing: Sharing) -> bool:
    listings = {part.listing.id for part in question.parts}
    return (
        len(question.parts) == len(listings) <= sharing.listings
        and question.window.minutes * len(listings) <= sharing.minutes
    )


def batched(items: Iterable[T], most: int) -> Iterator[Sequence[T]]:
    """Yield items in groups of at most so many, in their order."""
    left = iter(items)
    while group := tuple(islice(left, most)):
        yield group
