"""Who is here."""

import json

import attrs

from openclawd.protocol.codec import encode
from openclawd.vitals.presence import ENTRY_TTL_MS, MAX_ENTRIES, Presence, PresenceList

BROWSER = Presence(
    client_id="openclaw-control-ui",
    mode="ui",
    version="1",
    platform="linux",
    role="operator",
    scopes=("operator.admin",),
    device_id="d1",
)


class Clock:
    def __init__(self) -> None:
        self.ms = 1_000_000

    def __call__(self) -> int:
        return self.ms


def rows(presence: PresenceList) -> list[dict[str, object]]:
    return [json.loads(encode(row)) for row in presence.listing()]


def hosts(presence: PresenceList) -> list[object]:
    return [entry["host"] for entry in rows(presence)[1:]]


def test_the_gateway_itself_comes_first() -> None:
    listing = rows(PresenceList(gateway_version="1.2", now_ms=Clock()))

    assert (listing[0]["mode"], listing[0]["reason"], listing[0]["version"]) == ("gateway", "self", "1.2")


def test_two_tabs_of_one_device_are_one_entry_that_stays_until_both_have_gone() -> None:
    presence = PresenceList(gateway_version="1", now_ms=Clock())
    presence.arrived("c1", BROWSER)
    presence.arrived("c2", BROWSER)
    presence.left("c1", BROWSER)
    after_one = rows(presence)[1]["reason"]
    presence.left("c2", BROWSER)

    assert (after_one, rows(presence)[1]["reason"], len(presence.listing())) == (
        "connect",
        "disconnect",
        2,
    )


def test_a_connected_client_is_listed_however_long_it_stays_and_a_gone_one_for_five_minutes() -> None:
    clock = Clock()
    presence = PresenceList(gateway_version="1", now_ms=clock)
    presence.arrived("c1", BROWSER)
    clock.ms += 10 * ENTRY_TTL_MS
    while_here = hosts(presence)
    presence.left("c1", BROWSER)
    clock.ms += ENTRY_TTL_MS + 1

    assert (while_here, hosts(presence)) == (["openclaw-control-ui"], [])


def test_commands_are_not_listed_but_count_as_a_change() -> None:
    presence = PresenceList(gateway_version="1", now_ms=Clock())
    before = presence.version
    presence.arrived("c1", attrs.evolve(BROWSER, client_id="cli", mode="cli"))

    assert (hosts(presence), presence.version) == ([], before + 1)


def test_a_connected_client_stays_in_the_count_however_many_there_are() -> None:
    presence = PresenceList(gateway_version="1", now_ms=Clock())
    everybody = [attrs.evolve(BROWSER, device_id=f"d{number}") for number in range(MAX_ENTRIES + 50)]
    for client in everybody:
        presence.arrived(f"c-{client.device_id}", client)
    shown = len(presence.listing()) - 1
    changed = [presence.left(f"c-{client.device_id}", client) for client in everybody]

    assert (shown, all(changed)) == (MAX_ENTRIES, True)


def test_a_command_that_ends_takes_nobody_else_of_its_device_off_the_list() -> None:
    presence = PresenceList(gateway_version="1", now_ms=Clock())
    presence.arrived("page", BROWSER)
    command = attrs.evolve(BROWSER, client_id="cli", mode="cli")
    presence.arrived("command", command)

    assert not presence.left("command", command)
    assert rows(presence)[1]["reason"] == "connect"


def test_what_a_client_says_of_itself_is_cut_to_the_length_of_a_name() -> None:
    presence = PresenceList(gateway_version="1", now_ms=Clock())
    long = "x" * 60_000
    presence.arrived("c", attrs.evolve(BROWSER, display_name=long, version=long, device_id=long))

    assert len(encode(presence.listing()[1])) < 4_000


def test_the_list_is_bounded() -> None:
    clock = Clock()
    presence = PresenceList(gateway_version="1", now_ms=clock)
    for number in range(MAX_ENTRIES + 50):
        clock.ms += 1
        presence.arrived(f"c{number}", attrs.evolve(BROWSER, device_id=f"d{number}"))

    assert len(presence.listing()) == MAX_ENTRIES + 1
