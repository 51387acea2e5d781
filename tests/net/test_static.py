"""A page's files."""

import gzip
from http import HTTPStatus
from pathlib import Path

import pytest

from openclawd.net.http import Request, Response
from openclawd.net.static import Site

PAGE = "<!doctype html><title>page</title>" + "<p>padding</p>" * 100


@pytest.fixture
def root(tmp_path: Path) -> Path:
    site = tmp_path / "site"
    (site / "assets").mkdir(parents=True)
    (site / "index.html").write_text(PAGE)
    (site / "assets" / "app.js").write_text("export {};")
    (tmp_path / "secret.txt").write_text("outside")
    (site / "link.txt").symlink_to(tmp_path / "secret.txt")
    return site


async def get(root: Path, path: str, **headers: str) -> Response | None:
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return await Site(root).respond(Request("GET", path, path, {}, named), path)


async def test_a_file_comes_with_its_type_and_a_tag(root: Path) -> None:
    response = await get(root, "assets/app.js")

    assert response is not None
    assert dict(response.headers)["Content-Type"] == "text/javascript; charset=utf-8"
    assert dict(response.headers)["ETag"].startswith('"')


async def test_who_has_the_file_already_gets_304_without_a_body(root: Path) -> None:
    first = await get(root, "index.html")
    assert first is not None
    again = await get(root, "index.html", if_none_match=f"W/{dict(first.headers)['ETag']}")

    assert again is not None
    assert (again.status, again.body) == (HTTPStatus.NOT_MODIFIED, b"")


async def test_who_takes_gzip_gets_the_compressed_form(root: Path) -> None:
    response = await get(root, "index.html", accept_encoding="br;q=1.0, gzip;q=0.8")

    assert response is not None
    assert dict(response.headers)["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.body).decode() == PAGE


@pytest.mark.parametrize("refusal", ["", "identity", "gzip;q=0"])
async def test_who_does_not_take_gzip_gets_the_plain_form(root: Path, refusal: str) -> None:
    response = await get(root, "index.html", accept_encoding=refusal)

    assert response is not None
    assert response.body.decode() == PAGE


async def test_a_place_inside_the_page_is_the_page(root: Path) -> None:
    response = await get(root, "chat/agent:main:main")

    assert response is not None
    assert response.body.decode() == PAGE


async def test_a_missing_file_is_not_the_page(root: Path) -> None:
    assert await get(root, "missing.js") is None


async def test_assets_are_found_from_any_depth(root: Path) -> None:
    response = await get(root, "chat/deep/assets/app.js")

    assert response is not None
    assert response.body == b"export {};"


@pytest.mark.parametrize(
    "path", ["../secret.txt", "a/../../secret.txt", "link.txt", "..\\secret.txt", "a\0.txt"]
)
async def test_nothing_outside_the_folder_is_served(root: Path, path: str) -> None:
    response = await get(root, path)

    assert response is None or b"outside" not in response.body


async def test_a_changed_file_is_read_again(root: Path) -> None:
    site = Site(root)
    request = Request("GET", "/", "/", {}, ())
    await site.respond(request, "assets/app.js")
    (root / "assets" / "app.js").write_text("export const changed = true;")
    response = await site.respond(request, "assets/app.js")

    assert response is not None
    assert b"changed" in response.body


async def test_a_folder_without_a_page_says_so(tmp_path: Path) -> None:
    response = await get(tmp_path, "index.html")

    assert response is not None
    assert response.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert b"no index.html" in response.body


async def test_a_place_further_down_finds_the_page_s_files_where_they_are(root: Path) -> None:
    (root / "index.html").write_text('<script src="./app.js"></script>')
    response = await get(root, "chat/agent/main")

    assert response is not None
    assert response.body == b'<script src="../../app.js"></script>'
