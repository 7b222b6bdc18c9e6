"""A history of consent from its words to what Klaviyo has in the end.

Real are the consent family, permission, intake, lane, planner, settling, intents and the state they leave.
Left out or modelled: Kafka (a list, committed whole or not at all), HTTP and Klaviyo (a model of its consent
rules), budgets (there is always room), the sender's loop (here it is one step after the other, by a clock
that only the story moves), and the admin lane: a merge is what it leaves in the state.
"""

from math import inf
from random import Random
from typing import Any

from tests.deliver.consent_klaviyo import EMAIL, SMS
from tests.deliver.consent_life import Dead, Life
from tests.deliver.consent_world import START, TOPICS, Story, Word

KINDS = ("subscribe", "subscribe", "unsubscribe", "suppress", "unsuppress", "click", "spam")
"""The last two happen at Klaviyo, which may tell us."""
CHANNELS: tuple[tuple[str, ...], ...] = ((EMAIL,), (EMAIL,), (SMS,), (EMAIL, SMS))


def live(story: Story, steps: int, clicks: list[Word], then: list[Word]) -> None:
    """One life of so many steps; clicks happen when no call of their person is being prepared.

    Between the question about a person and the call only Klaviyo could tell, and for consent given within
    the last five minutes it does not.
    """
    life = Life(story)
    try:
        for _ in range(steps):
            life.feed()
            while clicks and not life.lane.busy(f"p{story.person(clicks[-1].who)}"):
                word = clicks.pop()
                story.click(word)
                then.append(word)
            busy = life.lane.busy("p0") or life.lane.busy("p1")
            if story.merges and not story.merged and not busy and story.chance.random() < 0.2:
                story.merge()
            if story.forgetful and not life.lane.busy("p0") and story.chance.random() < 0.1:
                story.forget(0)
            life.step()
            if life.open:
                if story.chance.random() < 0.9:
                    life.answer()
            elif life.idle and life.wake_at > story.now / 1000:
                if life.wake_at == inf:
                    if story.done() and not clicks:
                        return
                    story.now += 200
                else:
                    story.now = max(story.now + 1, int(life.wake_at * 1000) + 1)
    except Dead:
        pass
    life.die()


def tell(seed: int) -> dict[str, str]:
    """One whole history; fails if anybody is subscribed against the newest word.

    Returns:
        Op id → how it ended.
    """
    chance = Random(seed)
    story = Story(chance, merges=chance.random() < 0.2, forgetful=chance.random() < 0.2)
    people = 2 if story.merges or chance.random() < 0.3 else 1
    tells = chance.random() < 0.7
    said, clicks, waiting = _begin(story, people)
    observed: list[Word] = []
    while waiting or clicks or observed:
        for _ in range(min(chance.randint(1, 5), len(waiting))):
            story.deliver(*waiting.pop())
        while observed:
            word = observed.pop()
            if tells:
                op = story.say(word)
                waiting += [(op, TOPICS[0])] * chance.choice((1, 2))
                chance.shuffle(waiting)
        due = clicks[-1:]
        del clicks[-1:]
        live(story, chance.randint(1, 12), due, observed)
        clicks = due + clicks
    for _ in range(100):
        if story.done():
            break
        live(story, 400, [], [])
    assert story.done(), "some words never end"
    _in_the_end(story, said)
    return story.ends


def _begin(story: Story, people: int) -> tuple[list[Word], list[Word], list[tuple[dict[str, Any], str]]]:
    """What they say; which of it happens at Klaviyo; of the rest the operations and topics, some twice."""
    chance = story.chance
    said: list[Word] = []
    clicks: list[Word] = []
    waiting: list[tuple[dict[str, Any], str]] = []
    ago = chance.choice(((-8, 2), (2, 12), (2, 290), (2, 900)))
    within = chance.choice((1, 1000))
    for _ in range(chance.randint(1, 7)):
        at = START - chance.randint(*ago) * 1000 + chance.randrange(within)
        word = Word(chance.choice(KINDS), chance.randrange(people), chance.choice(CHANNELS), at)
        said.append(word)
        if word.kind in ("click", "spam"):
            clicks.append(word)
            continue
        op = story.say(word)
        times = chance.choice((1, 1, 2, 3))
        waiting += [(op, chance.choice((TOPICS[0], TOPICS[0], TOPICS[1]))) for _ in range(times)]
    chance.shuffle(waiting)
    chance.shuffle(clicks)
    return said, clicks, waiting


def _in_the_end(story: Story, said: list[Word]) -> None:
    newest: dict[tuple[str, int, str], int] = {}
    for word in said:
        kind = "unsubscribe" if word.kind in ("click", "spam") else word.kind
        for part in (EMAIL,) if "suppress" in kind else word.parts:
            key = kind, word.who, part
            newest[key] = max(newest.get(key, -1), word.time)
    if story.merged or story.forgetful:
        return
    for _, who, part in list(newest):
        yes = newest.get(("subscribe", who, part), -1)
        no = newest.get(("unsubscribe", who, part), -1)
        suppressed = newest.get(("suppress", who, part), -1)
        if suppressed >= newest.get(("unsuppress", who, part), -1):
            no = max(no, suppressed)
        mailed = story.klaviyo.person(who).mailed(part)
        if no >= yes:
            assert not mailed, f"{part} of {who} is subscribed"
        if max(no, suppressed) < 0 <= yes:
            assert mailed, f"{part} of {who} is not subscribed, though nobody ever said no"
