"""Each use of the page, on one line that runs them all: messages in, what must be there at the end."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.local.stack import Stack
from tests.line import eventually
from tests.uses import together
from tests.whole.conftest import shared
from tests.whole.running import Whole
from tests.whole.uses import Use, email, identify, track

pytestmark = pytest.mark.stack

SECONDS = 15.0
"""Within these a person is at Klaviyo, on a machine that has other things to do."""


@pytest.fixture(scope="module")
def all_uses(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """One line for all of them."""
    with shared(stack, tmp_path_factory.mktemp("uses"), together()) as line:
        yield line


@pytest.fixture
def use(request: pytest.FixtureRequest, all_uses: Whole) -> Use:
    """The use whose number the test's name has."""
    return Use(all_uses, int(request.node.name.split("_")[1]))


def test_1_an_identify_is_a_profile_within_seconds(use: Use) -> None:
    began = time.monotonic()
    use.post(identify("ada", firstName="Ada", plan="Gold", address={"city": "Utrecht"}, shoe_size=38))

    found = eventually(lambda: use.person("ada"), timeout_s=SECONDS)

    print(f"identify to profile: {time.monotonic() - began:.1f} s")
    assert (found["external_id"], found["first_name"], found["location"]["city"]) == ("ada", "Ada", "Utrecht")
    assert found["properties"] == {"plan": "gold", "shoe_size": 38}


def test_2_designated_tracks_are_metrics_and_no_others(use: Use) -> None:
    names = ("Button Clicked", "Product Viewed", "Scrolled", "Article Read", "Product Added")
    use.post(identify("ada"), *(track("ada", name, name="Lamp", price=20) for name in names))

    wanted = Counter(["Viewed Product", "Article Read", "Added to Cart"])
    eventually(lambda: use.metrics() == wanted)
    use.settled()
    assert use.metrics() == wanted


def test_3_engagement_goes_to_segment_under_the_persons_own_id(use: Use) -> None:
    use.post(identify("ada"))
    eventually(lambda: use.person("ada"))

    for metric in ("Opened Email", "Clicked Email", "Bounced Email"):
        told = {"account": "acme3", "email": email("ada"), "metric": metric, "n": 1}
        use.line.ask("klaviyo", "/sim/engage", told)

    eventually(lambda: len(use.rows("events", part="segment")) == 2)
    use.settled()
    calls = use.rows("events", part="segment")
    assert {call["event"] for call in calls} == {"Email Opened", "Email Link Clicked"}
    assert {call["userId"] for call in calls} == {"ada"}


def test_4_audiences_are_lists_whatever_order_and_how_often_events_come(use: Use) -> None:
    use.make_list("big_spenders", "VIP")
    spends = {"audience_key": "big_spenders", "big_spenders": True}
    people = ("enters", "late", "repeats", "returns", "vip", "former")
    use.post(*(identify(user) for user in people), source="engage")
    use.post(
        track("enters", "Audience Entered", **spends),
        track("late", "Audience Exited", 10, **spends),
        track("late", "Audience Entered", 60, **spends),
        *(track("repeats", "Audience Entered", 60, **spends) for _ in range(2)),
        *(track("repeats", "Audience Exited", 10, **spends) for _ in range(2)),
        track("returns", "Audience Entered", 10, **spends),
        track("returns", "Audience Exited", 60, **spends),
        identify("vip", vip=True),
        identify("former", 60, vip=True),
        identify("former", 10, vip=False),
        source="engage",
    )

    eventually(lambda: use.members("big_spenders") == {email("enters"), email("returns")})
    eventually(lambda: use.members("VIP") == {email("vip")})
    use.post(identify("vip", vip=False), track("enters", "Audience Exited", **spends), source="engage")
    eventually(lambda: (use.members("big_spenders"), use.members("VIP")) == ({email("returns")}, set()))
    use.post(track("late", "Audience Entered", 30, **spends), source="engage")
    use.settled()
    assert (use.members("big_spenders"), use.members("VIP")) == ({email("returns")}, set())


def test_5_a_sign_up_subscribes_and_onboards_a_person_once(use: Use) -> None:
    use.make_list("Onboarding")
    traits = {"firstName": "Ada", "plan": "pro", "source": "ad"}
    use.post(track("ada", "Signed Up", traits=traits))

    eventually(lambda: use.members("Onboarding") == {email("ada")})
    eventually(lambda: use.consent("ada") == "SUBSCRIBED")
    eventually(lambda: use.metrics() == Counter(["Welcome"]))
    found = eventually(lambda: use.person("ada"))
    assert (found["first_name"], found["properties"]) == ("Ada", {"plan": "pro", "source": "ad"})

    use.take_off("Onboarding")
    use.post(track("ada", "Signed Up", traits=traits | {"plan": "team"}))
    eventually(lambda: use.properties("ada")["plan"] == "team")
    use.settled()
    assert (use.members("Onboarding"), use.metrics()) == (set(), Counter(["Welcome"]))


def test_6_a_computed_trait_over_its_threshold_is_a_property_and_a_list_and_out_again(use: Use) -> None:
    use.make_list("Win-back")
    use.post(identify("ada", churn_risk=0.91), identify("bob", churn_risk=0.2), source="engage")
    eventually(lambda: use.members("Win-back") == {email("ada")})
    eventually(lambda: use.properties("ada") == {"Churn Risk": 0.91})

    use.post(identify("ada", churn_risk=0.3), identify("bob", churn_risk=0.7), source="engage")
    eventually(lambda: use.members("Win-back") == {email("bob")})
    use.post(identify("bob", city="Utrecht"), source="engage")
    use.settled()
    assert use.members("Win-back") == {email("bob")}
    assert (use.properties("ada"), use.properties("bob")) == ({"Churn Risk": 0.3}, {"Churn Risk": 0.7})


def test_7_an_order_that_browser_and_server_tell_is_counted_once(use: Use) -> None:
    products = [{"product_id": name, "name": name, "price": 10, "quantity": 1} for name in ("Lamp", "Desk")]
    use.post(identify("ada"))
    for order in ("o1", "o2"):
        for source in ("web", "server", "web"):
            use.post(
                track("ada", "Order Completed", order_id=order, total=20, products=products, told_by=source),
                source=source,
            )

    wanted = Counter({"Placed Order": 2, "Ordered Product": 4})
    eventually(lambda: use.metrics() == wanted)
    use.settled()
    assert use.metrics() == wanted
    orders = [row["properties"]["OrderId"] for row in use.rows("events") if row["metric"] == "Placed Order"]
    assert sorted(orders) == ["o1", "o2"]


def test_8_an_import_changes_properties_and_sends_only_what_changed(use: Use, tmp_path: Path) -> None:
    use_import = _importer(use, tmp_path / "customers.csv")
    use_import({"ada": 120.5, "bob": 80, "cyd": 7})
    wanted = {"ada": 120.5, "bob": 80, "cyd": 7}
    eventually(lambda: {user: use.properties(user).get("Lifetime Value") for user in wanted} == wanted)
    assert use.properties("ada") == {"Lifetime Value": 120.5, "Tier": "gold"}
    use.settled()
    before = len(use.line.requests())

    use_import({"ada": 120.5, "bob": 95, "cyd": 7})
    eventually(lambda: use.properties("bob")["Lifetime Value"] == 95)
    use.settled()
    sent = json.dumps([row["body"] for row in use.line.requests()[before:] if row["account"] == "acme8"])
    assert email("bob") in sent
    assert email("ada") not in sent
    assert email("cyd") not in sent


def _importer(use: Use, file: Path) -> Callable[[dict[str, float]], None]:
    columns = ["--id-column", "user_id", "--email-column", "email", "--map", "ltv=ltv:number"]

    def run(values: dict[str, float]) -> None:
        rows = [f"{user},{email(user)},{value},gold\n" for user, value in values.items()]
        file.write_text("user_id,email,ltv,tier\n" + "".join(rows))
        said = use.line.run("import", str(file), "--source", "warehouse8", *columns)
        assert said.code == 0, said

    return run


def test_9_consent_follows_the_newest_word_and_never_goes_against_a_later_no(use: Use) -> None:
    for user in ("ada", "bob", "cyd"):
        use.post(identify(user), track(user, "Consent Given", 120, form="footer"))
    eventually(lambda: {use.consent(user) for user in ("ada", "bob", "cyd")} == {"SUBSCRIBED"})

    use.post(track("ada", "Consent Withdrawn", 60), track("bob", "Consent Withdrawn", 60))
    told = {"account": "acme9", "email": email("cyd"), "metric": "Unsubscribed", "n": 1}
    use.line.ask("klaviyo", "/sim/engage", told)
    eventually(lambda: {use.consent(user) for user in ("ada", "bob", "cyd")} == {"UNSUBSCRIBED"})
    withdrawn = time.time()
    eventually(lambda: time.time() > withdrawn + 1)  # Klaviyo dates a no by whole seconds

    use.post(*(track(user, "Consent Given", 90, form="late") for user in ("ada", "bob", "cyd")))
    use.post(track("bob", "Consent Given", 0, form="again"))
    eventually(lambda: use.consent("bob") == "SUBSCRIBED")
    use.settled()
    assert (use.consent("ada"), use.consent("cyd")) == ("UNSUBSCRIBED", "UNSUBSCRIBED")


def test_10_one_event_goes_to_two_accounts_by_the_rules_of_each(use: Use) -> None:
    products = [{"product_id": "lamp", "name": "Lamp", "price": 10, "quantity": 2}]
    use.post(identify("ada"), track("ada", "Order Completed", order_id="o1", total=20, products=products))

    eventually(lambda: use.metrics("acme") == Counter(["Placed Order", "Ordered Product"]))
    eventually(lambda: use.metrics("bloom") == Counter(["Sister Brand Order"]))
    use.settled()
    assert use.metrics("acme") == Counter(["Placed Order", "Ordered Product"])
    assert use.metrics("bloom") == Counter(["Sister Brand Order"])
    assert use.person("ada", "acme")
    assert use.person("ada", "bloom")


def test_11_what_segment_classic_did(use: Use) -> None:
    use.make_list("News", "Override")
    named = {"$first_name": "Ada", "shoe_size": 38, "$extra": {"html": "<b>"}}
    override = {"integrations": {"Klaviyo": {"listId": use.lists["Override"]}}}
    unasked = {"integrations": {"Klaviyo": {"confirmOptin": False}}}
    products = [{"product_id": 1, "sku": "s", "name": "Pulse", "price": 9, "quantity": 2}]
    order = track("ada", "Order Completed", order_id="o1", revenue=18, total=20, products=products)
    use.post(
        identify("ada", **named),
        identify("bob", firstName="Bob") | override,
        identify("cyd") | unasked,
        track("ada", "Anything At All", revenue=12.5, eventId="e1"),
        track("ada", "Anything At All", revenue=12.5, eventId="e1"),
        order,
        order | {"messageId": "told again"},
    )

    eventually(lambda: (use.members("News"), use.members("Override")) == ({email("ada")}, {email("bob")}))
    eventually(lambda: (use.consent("ada"), use.consent("bob")) == ("SUBSCRIBED", "SUBSCRIBED"))
    use.settled()
    assert use.consent("cyd") == "NEVER_SUBSCRIBED"
    assert use.metrics() == Counter(["Anything At All", "Placed Order", "Ordered Product"])
    ada, bob = use.person("ada"), use.person("bob")
    assert ada
    assert bob
    assert (ada["first_name"], ada["properties"]) == ("Ada", {"shoe_size": 38, "$extra": {"html": "<b>"}})
    assert (bob["first_name"], bob["properties"]) == ("Bob", {"firstName": "Bob"})
    sent = {row["metric"]: row["properties"] for row in use.rows("events")}
    assert {metric: found["$value"] for metric, found in sent.items()} == {
        "Anything At All": 12.5, "Placed Order": 18, "Ordered Product": 9,
    }  # fmt: skip
    assert (sent["Placed Order"]["OrderId"], sent["Placed Order"]["Item Names"]) == ("o1", ["Pulse"])
    assert sent["Placed Order"]["Items"][0]["Row Total"] == 9
    assert (sent["Ordered Product"]["Name"], sent["Ordered Product"]["ProductID"]) == ("Pulse", 1)
