"""Something sensible about anything: points and sentences for subjects that the library does not know.

The grammar is large enough that a very long answer never repeats a sentence, and vague enough that no sentence is
false. It speaks about the subject in the question's own words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from workbench.simulator.corpus.library import Point, Topic

_DEFINITIONS = (
    "The easiest way into {s} is to ask what it is for, and what would be missing without it.",
    "At the core of {s} is an answer to a problem that keeps coming back, which is why so many versions of it exist.",
    "The short version of {s}: it pays off when the costs come early and the benefits come often.",
    "Most confusion about {s} comes from mixing up two questions: what it is, and when it is worth having.",
    "Seen from outside, {s} can look complicated, because several simple things happen at once.",
)
_ANALOGIES = (
    "It is a little like learning to sail: the theory fits on one page, and the wind does the teaching.",
    (
        "Think of it as a garden rather than a building: it is never finished, and small regular care "
        "beats a heroic weekend."
    ),
    (
        "A good picture is a toolbox: the question is never which tool is best, but which one is within "
        "reach when it is needed."
    ),
    "It behaves like compound interest: barely visible in the first weeks, decisive after a year.",
)
_POINTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Purpose first": (
        (
            "Before anything else, write down in one sentence what you want from {s}.",
            "People rarely care about {s} as such; they care about what becomes possible.",
        ),
        (
            "If two people write different sentences, that is the first thing to settle.",
            "Everything that does not serve that sentence can wait.",
        ),
    ),
    "What it costs": (
        (
            "The visible price of {s} is usually the smaller part; time and attention are the rest.",
            "Count the running cost of {s}, not only the cost of starting.",
        ),
        (
            "A rough number today is worth more than an exact one next month.",
            "Half of it tends to come from keeping things as they are.",
        ),
    ),
    "Where it goes wrong": (
        (
            "Trouble with {s} is seldom loud; it creeps in, and somebody notices late.",
            "The common mistake with {s} is to copy somebody's result without their circumstances.",
        ),
        (
            "A small check every week catches what a large review every year explains.",
            "Ask what would have to be true for it to be a bad idea here.",
        ),
    ),
    "Starting small": (
        (
            "Begin with the smallest piece of {s} that can be useful on its own.",
            "A first attempt at {s} that works on Tuesday beats a perfect one that is planned for spring.",
        ),
        (
            "It shows which of the worries were real.",
            "Keep it so small that throwing it away would not hurt.",
        ),
    ),
    "Measuring": (
        (
            "Choose one number that would tell you whether {s} did any good, and look at it before you begin.",
            "Opinions about {s} become much calmer next to a chart.",
        ),
        (
            "Without the number from before, every result looks like a success.",
            "Prefer a crude measure that is honest to a fine one that can be gamed.",
        ),
    ),
    "The people involved": (
        (
            "Whoever has to live with {s} should have a say in how it is done.",
            "Skill matters less for {s} than agreement about what good looks like.",
        ),
        (
            "The best objections come from those who do the work every day.",
            "A written decision with a name under it saves the same discussion next time.",
        ),
    ),
    "Growing": (
        (
            "What works for ten often breaks at a thousand, and nothing about {s} changes that.",
            "Scaling {s} is mostly a matter of removing the one step that everything waits for.",
        ),
        (
            "Find that step by following a single case from beginning to end.",
            "Adding hands anywhere else only lengthens the queue in front of it.",
        ),
    ),
    "Alternatives": (
        (
            "There is always the option of not doing {s} at all, and it deserves an honest hearing.",
            "Compare {s} with the second-best choice, not with nothing.",
        ),
        (
            "Sometimes a checklist and a calendar entry do the same job.",
            "The comparison also tells you when to change your mind later.",
        ),
    ),
    "Habits that help": (
        (
            "Ten minutes at the same hour do more for {s} than a whole day once a quarter.",
            "Write down what surprised you about {s} while it still surprises you.",
        ),
        (
            "Routine frees the head for the parts that are not routine.",
            "Those notes are what the next person needs most.",
        ),
    ),
    "Knowing when to stop": (
        (
            "With {s} there is a point beyond which more makes things worse.",
            "Decide in advance what would make you give up {s}, while you are still neutral about it.",
        ),
        (
            "The last tenth of polish often costs as much as the first nine.",
            "Stopping is easier when it was part of the plan.",
        ),
    ),
}
_OPENERS = (
    "In practice", "Surprisingly often", "After a few weeks", "On a quiet day", "Under pressure", "With hindsight",
    "For beginners", "For experienced people", "In small teams", "Across a whole year", "On paper", "At the margin",
    "Seen from outside", "Once the novelty is gone", "When money is tight", "When nobody is looking", "In the long run",
    "As a rule", "Every now and then", "Between two deadlines",
)  # fmt: skip
_SUBJECTS = (
    "the plain version of {s}", "a written plan for {s}", "the slow part of {s}", "a second opinion on {s}",
    "the first attempt at {s}", "a short list of priorities", "the cheapest experiment", "an honest deadline",
    "the habit of checking results", "a clear owner", "one good example", "the boring preparation",
    "a fresh pair of eyes", "the question of cost", "a bit of slack in the schedule", "the unglamorous upkeep",
)  # fmt: skip
_VERBS = (
    "turns out to matter more than", "quietly replaces", "makes room for", "shows the limits of", "is worth more than",
    "saves people from", "brings out the best in", "takes the drama out of", "keeps an eye on", "gives shape to",
    "shortens the way to", "is often mistaken for", "comes well before", "balances",
)  # fmt: skip
_OBJECTS = (
    "any clever shortcut", "the loudest argument", "another round of meetings", "a perfect forecast", "good intentions",
    "the tools that everybody talks about", "raw effort", "a long list of features", "last year's experience",
    "what the textbooks say about {s}", "the fear of missing out", "an elegant theory", "borrowed certainty",
    "early enthusiasm", "the wish to please everyone", "mere speed",
)  # fmt: skip
_TAILS = (
    "", "", ", and that is easy to forget", ", which explains a good deal", ", at least in the beginning",
    ", whatever the brochure says", " — and the figures agree", ", though seldom at once", ", if one lets it",
    "; the rest is patience", ", and nobody regrets it", ", as most people find out for themselves",
)  # fmt: skip
_PITFALLS = (
    "Deciding about {s} by the most recent anecdote.",
    "Treating {s} as a project with an end when it is a practice.",
    "Leaving {s} to one person who then cannot go on holiday.",
    "Buying a tool for {s} before knowing which problem it should solve.",
    "Measuring the effort that goes into {s} instead of what comes out.",
)
_ROWS = (
    ["Effort to begin", "low to medium", "depends on what is there already"],
    ["Time until it pays", "weeks", "sooner with a narrow goal"],
    ["Main risk", "drifting unnoticed", "a weekly check is enough"],
    ["Skills needed", "curiosity, patience", "the rest can be learned on the way"],
    ["Easy to undo", "mostly", "keep the old way for a while"],
)


def topic_about(subject: str, rng: random.Random) -> Topic:
    """A topic made up on the spot, for a subject that the library does not have."""

    def fill(text: str) -> str:
        return text.replace("{S}", capitalised(subject)).replace("{s}", subject)

    titles = list(_POINTS)
    points = [
        Point(title, fill(rng.choice(_POINTS[title][0])), fill(rng.choice(_POINTS[title][1]))) for title in titles
    ]
    return Topic(
        name=subject,
        match=[],
        definition=fill(rng.choice(_DEFINITIONS)),
        analogy=fill(rng.choice(_ANALOGIES)),
        points=points,
        pitfalls=[fill(text) for text in rng.sample(_PITFALLS, k=3)],
        table=["Aspect", "In short", "Remark"],
        rows=[list(row) for row in rng.sample(_ROWS, k=4)],
    )


CHECKLIST = (
    (True, "Write down in one sentence what it is for."),
    (True, "Note how things stand today, in one number."),
    (False, "Try the smallest useful piece within a week."),
    (False, "Show it to one person who will say what is wrong with it."),
    (False, "Put a date in the calendar for looking again."),
)


def observations(subject: str, rng: random.Random) -> Iterator[str]:
    """Sentences without end and without repetition."""
    seen: set[tuple[str, str, str]] = set()
    while True:
        core = rng.choice(_SUBJECTS), rng.choice(_VERBS), rng.choice(_OBJECTS)
        opener, tail = rng.choice(_OPENERS), rng.choice(_TAILS)
        # After some thousands of sentences the cores run out; then the openers tell them apart.
        if core in seen and len(seen) < 3_000:
            continue
        seen.add(core)
        yield f"{opener}, {core[0]} {core[1]} {core[2]}{tail}.".replace("{s}", subject)


def capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def uncapitalised(text: str) -> str:
    """For the middle of a sentence; abbreviations stay as they are."""
    is_word = text[1:2].islower() or text[1:2] == " "
    return text[:1].lower() + text[1:] if is_word else text
