"""Which version is the one for a machine."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from openclawd.update.releases import (
    Host,
    Release,
    is_newer,
    named,
    newest,
    passed_over,
    release_of,
    this_host,
)
from openclawd.update.staged import CannotUpdate

HOST = Host("linux", "x86_64", "2.31")
ONE = Release("stable/x", "stable", "1.0.0", "linux", "x86_64", "2.28", 10, 20)
CUSTOM = {
    "version": "1.0.0",
    "system": "linux",
    "machine": "x86_64",
    "glibc": "2.28",
    "unpackedBytes": 20,
    "notes": "Faster.",
    "minimum": "0.9",
}
PATH = "stable/openclawd-1.0.0-linux-x86_64.tar.gz"


def version(text: str, **changes: object) -> Release:
    return attrs.evolve(ONE, version=text, **changes)  # type: ignore[arg-type]


def test_a_target_tells_what_it_is() -> None:
    assert release_of(PATH, 10, CUSTOM) == attrs.evolve(ONE, path=PATH, notes="Faster.", minimum="0.9")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", None),
        ("version", "../../etc"),
        ("version", "not a version"),
        ("system", 1),
        ("machine", None),
        ("glibc", 2.31),
        ("glibc", "new"),
        ("unpackedBytes", 0),
        ("unpackedBytes", "20"),
        ("unpackedBytes", 10**15),
        ("notes", ["a"]),
        ("minimum", 1),
    ],
)
def test_a_target_that_is_described_otherwise_is_none(key: str, value: object) -> None:
    assert release_of(PATH, 10, CUSTOM | {key: value}) is None


@pytest.mark.parametrize("path", ["openclawd.tar.gz", "stable/x/y.tar.gz", "stable/x.zip", "stable/"])
def test_a_target_of_another_kind_is_none(path: str) -> None:
    found = release_of(path, 10, CUSTOM)
    assert found is None or found.channel not in ("stable", "beta")


def test_notes_are_for_one_look() -> None:
    found = release_of(PATH, 10, CUSTOM | {"notes": "x" * 100_000})
    assert found is not None
    assert found.notes is not None
    assert len(found.notes) == 2000


def test_the_newest_is_so_by_number_not_by_spelling() -> None:
    found = newest([version("1.9.0"), version("1.10.0"), version("1.2.0")], HOST, "stable", "1.0.0")
    assert found is not None
    assert found.version == "1.10.0"


def test_a_trial_version_comes_before_its_version() -> None:
    assert newest([version("1.0.0rc1")], HOST, "stable", "1.0.0") is None


def test_who_has_no_version_gets_the_newest() -> None:
    assert newest([ONE], HOST, "stable", None) == ONE


def test_beta_gets_a_stable_one_that_is_newer() -> None:
    beta, stable = version("1.1.0b1", channel="beta"), version("1.1.0")
    assert newest([stable, beta], HOST, "beta", "1.0.0") == stable
    assert newest([beta], HOST, "beta", "1.0.0") == beta
    assert newest([beta], HOST, "stable", "1.0.0") is None


def test_of_the_same_version_the_stable_one_is_taken() -> None:
    both = [version("1.1.0", channel="beta"), version("1.1.0")]
    assert newest(both, HOST, "beta", "1.0.0") == both[1]


def test_an_older_c_library_gets_the_last_version_that_runs_on_it() -> None:
    found = newest([version("1.1.0"), version("1.2.0", glibc="2.40")], HOST, "stable", "1.0.0")
    assert found is not None
    assert found.version == "1.1.0"


def test_a_machine_that_is_left_behind_hears_why() -> None:
    there = [version("1.1.0"), version("1.2.0", glibc="2.40"), version("1.3.0", machine="aarch64")]
    found = passed_over(there, HOST, "stable", "1.1.0", None)
    assert found == (there[1], "it needs glibc 2.40, and this system has 2.31")


def test_what_is_older_than_the_one_that_is_taken_is_not_worth_a_word() -> None:
    old, new = version("1.2.0", glibc="2.40"), version("1.3.0")
    assert passed_over([old, new], HOST, "stable", "1.0.0", new) is None


def test_a_version_without_glibc_runs_anywhere() -> None:
    assert newest([version("1.1.0", glibc=None)], attrs.evolve(HOST, glibc=None), "stable", "1.0.0")


def test_a_version_that_cannot_follow_directly_is_reached_by_the_one_between() -> None:
    between, last = version("1.5.0"), version("2.0.0", minimum="1.5.0")
    assert newest([between, last], HOST, "stable", "1.0.0") == between
    assert newest([between, last], HOST, "stable", "1.5.0") == last


@pytest.mark.parametrize(
    ("release", "says"),
    [
        (version("2.0", machine="aarch64"), "made for linux aarch64, and this is linux x86_64"),
        (version("2.0", glibc="2.40"), r"needs glibc 2\.40, and this system has 2\.31"),
        (version("2.0", minimum="1.5"), r"can only follow 1\.5 or newer, and 1\.0\.0 is installed"),
    ],
)
def test_a_version_that_does_not_fit_says_why(release: Release, says: str) -> None:
    with pytest.raises(CannotUpdate, match=says):
        named([release], HOST, "2.0", "1.0.0")


def test_what_runs_under_a_name_of_its_own_is_not_known_to_be_new_enough() -> None:
    with pytest.raises(CannotUpdate, match=r"can only follow 1\.5 or newer, and my-build is installed"):
        named([version("2.0", minimum="1.5")], HOST, "2.0", "my-build")


def test_the_one_for_this_machine_says_why() -> None:
    releases = [version("2.0", machine="aarch64"), version("2.0", glibc="2.40")]
    with pytest.raises(CannotUpdate, match="needs glibc"):
        named(releases, HOST, "2.0", "1.0.0")


def test_what_is_no_version_is_newer_than_none() -> None:
    assert not is_newer("dev", "1.0")
    assert not is_newer("1.0", "dev")


def test_this_host_is_one_that_a_release_can_name() -> None:
    host = this_host()
    assert host.system in ("linux", "darwin")
    assert host.glibc is None or Version(host.glibc) > Version("2.0")


VERSIONS = st.builds(lambda *parts: ".".join(map(str, parts)), *[st.integers(0, 12)] * 3)
RELEASES = st.lists(
    st.builds(
        version,
        VERSIONS,
        channel=st.sampled_from(["stable", "beta", "nightly"]),
        machine=st.sampled_from(["x86_64", "aarch64"]),
        glibc=st.sampled_from([None, "2.17", "2.31", "2.40"]),
        minimum=st.none() | VERSIONS,
    ),
    max_size=6,
)


@given(releases=RELEASES, current=VERSIONS, channel=st.sampled_from(["stable", "beta"]))
def test_what_is_chosen_fits_and_nothing_that_fits_is_newer(
    releases: list[Release], current: str, channel: str
) -> None:
    allowed = {"stable": ("stable",), "beta": ("stable", "beta")}[channel]
    fitting = [
        Version(each.version)
        for each in releases
        if each.channel in allowed
        and each.misfit(HOST, current) is None
        and Version(each.version) > Version(current)
    ]
    chosen = newest(releases, HOST, channel, current)  # type: ignore[arg-type]
    assert (Version(chosen.version) if chosen else None) == max(fitting, default=None)
