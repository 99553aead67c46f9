"""The explorer's page, clicked through in headless Chromium."""

import re
import runpy
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from running_server import running

from pipeline.known_users import look_up_in
from serving.explorer.users import Explorer

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome on the PATH")

FIXTURES = Path(__file__).parent.parent / "fixtures"
BOOKSHOP = runpy.run_path(str(FIXTURES / "bookshop_model.py"))
HOSTILE = "<img src=x onerror=\"document.title='taken'\">"
SHOP = {**BOOKSHOP["TITLES"], "102": HOSTILE}
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A base path with the bookshop's model; one title is hostile."""
    base = tmp_path_factory.mktemp("explored")
    BOOKSHOP["save"](base / "7", SHOP)
    return base


@pytest.fixture(scope="module")
def shop(base):
    with running(base, "shop", explorer=Explorer("shop", look_up_in(FIXTURES / "tiny"), False)) as server:
        yield server


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens the page of a server; at the end, nothing may have gone wrong or gone elsewhere."""
    contexts, troubles = [], []

    def visit(server, path="/", **options) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(5000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
        page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: request.url.startswith((server.url, "data:")) or troubles.append(request.url),
        )
        page.goto(f"{server.url}{path}")
        expect(page.locator("#ranked .item").first).to_be_visible()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert not troubles


def titles(page: Page, list_id: str) -> list[str]:
    return page.locator(f"#{list_id} .title").all_inner_texts()


def settled(page: Page, list_id: str, first: str) -> list[str]:
    """A list's titles, once its first one is this."""
    expect(page.locator(f"#{list_id} .title").first).to_have_text(first)
    return titles(page, list_id)


def pick(page: Page, user: str) -> None:
    page.get_by_label("reader").fill(user)
    page.get_by_role("button", name="Show").click()


def test_a_known_users_lists_stand_side_by_side(shop, visit):
    page = visit(shop)
    expect(page.get_by_role("heading", level=1)).to_have_text("shop")
    pick(page, "ada")
    # ada's history, the latest first; the model puts it first, and retrieves the other way round.
    expect(page.locator("#history .title").first).to_have_text("Rivers, Roads and Rails")
    assert titles(page, "history") == ["Rivers, Roads and Rails", "105", "The Last Lighthouse"]
    ranked = settled(page, "ranked", "The Last Lighthouse")
    assert ranked[1:4] == ["105", "Rivers, Roads and Rails", "A Spy Too Many"]
    assert titles(page, "retrieved")[0] == "Unread So Far"
    first = page.locator("#ranked .item").first
    assert first.locator(".numbers").inner_text().split() == ["104.00", "3.50", "0.75"]
    assert page.locator("#ranked .columns span").all_inner_texts() == ["score", "rating", "P(liked)"]
    assert first.locator(".features span").all_inner_texts() == ["275", "novel, crime"]
    # Retrieved 4th, ranked 1st; and a line that says so.
    expect(first.locator(".move")).to_have_text("↑3")
    assert page.locator("#links path").count() == 8
    for name in ("retrieved", "ranked"):
        assert re.fullmatch(r"8 items · [\d.]+ ms", page.locator(f"#{name}-latency").inner_text())
    assert page.url.endswith("#user=ada")
    page.reload()
    expect(page.locator("#history .title")).to_have_count(3)


def test_a_history_is_built_by_clicking_items(shop, visit):
    page = visit(shop)
    expect(page.locator("#history-empty")).to_be_visible()
    page.get_by_role("searchbox", name="Catalogue").fill("long")
    expect(page.locator("#found .item")).to_have_count(1)
    page.locator("#found .title").click()
    settled(page, "ranked", "The Long Winter")
    page.locator("#ranked .title", has_text="Unread So Far").click()
    expect(page.locator("#history .title")).to_have_text(["Unread So Far", "The Long Winter"])
    page.get_by_role("button", name="Remove The Long Winter from the history").click()
    settled(page, "ranked", "Unread So Far")
    page.get_by_label("Leave out what was met").check()
    assert "Unread So Far" not in settled(page, "ranked", "A Spy Too Many")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#history-empty")).to_be_visible()
    expect(page.locator("#ranked .item")).to_have_count(8)


def test_an_excluded_item_leaves_both_lists_until_it_is_let_back(shop, visit):
    page = visit(shop)
    row = page.locator("#ranked .item").first
    row.hover()
    row.get_by_role("button", name="Exclude A Spy Too Many").click()
    settled(page, "ranked", "The Long Winter")
    assert "A Spy Too Many" not in titles(page, "ranked") + titles(page, "retrieved")
    page.get_by_role("button", name="Exclude A Spy Too Many no longer").click()
    settled(page, "ranked", "A Spy Too Many")


def test_lists_are_filtered_by_a_features_value(shop, visit):
    page = visit(shop)
    page.get_by_role("spinbutton", name="Items").fill("3")
    page.get_by_label("Feature to filter by").select_option("shelves")
    page.get_by_role("combobox", name="Value").select_option("crime")
    # One of them is not among the five that are ranked for a list: more are asked for.
    expect(page.locator("#ranked .title")).to_have_text(["A Spy Too Many", "The Last Lighthouse"])
    expect(page.locator("#retrieved .title")).to_have_text(["The Last Lighthouse", "A Spy Too Many"])
    expect(page.locator("#message")).to_have_text("2 of 3: no other is left in the catalogue.")
    page.get_by_label("Feature to filter by").select_option("pages")
    page.get_by_label("from", exact=True).fill("400")
    page.get_by_label("from", exact=True).press("Tab")
    expect(page.locator("#ranked .title")).to_have_text(["The Long Winter"])


def test_an_items_neighbours_are_shown_and_can_be_clicked(shop, visit):
    page = visit(shop)
    page.locator("#ranked .item").first.get_by_role("button", name="Items similar to A Spy Too Many").click()
    dialog = page.get_by_role("dialog", name="A Spy Too Many")
    expect(dialog.locator(".title").first).to_have_text("The Long Winter")
    assert dialog.locator(".score").first.inner_text() == "0.98"
    dialog.locator(".title").first.click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#history .title")).to_have_text(["The Long Winter"])


def test_texts_of_the_data_are_shown_as_texts(shop, visit):
    page = visit(shop)
    expect(page.locator("#ranked .title", has_text="<img")).to_have_text(HOSTILE)
    page.locator("#ranked .title", has_text="<img").click()
    expect(page.locator("#history .title")).to_have_text([HOSTILE])
    pick(page, "<script>alert(1)</script>")
    expect(page.locator("#user-note")).to_contain_text("Not in the data")
    assert page.locator("main img, main script").count() == 0
    assert page.title() == "shop · Explorer"


def test_attributes_are_the_users_and_can_be_changed(shop, visit):
    page = visit(shop, "/explorer/#user=ada")
    page.get_by_text("Attributes and context").click()
    expect(page.get_by_label("town")).to_have_value("Soest")
    expect(page.get_by_label("born")).to_have_value("1970")
    with page.expect_request(re.compile(":predict$")) as asked:
        page.get_by_label("town").fill("Hagen")
        page.get_by_label("born").fill("")
        page.get_by_label("born").press("Tab")
    body = asked.value.post_data
    assert '"town":["Hagen"]' in body and '"rated_at":[2200]' in body


def test_what_went_wrong_says_what_to_do(base, visit):
    with running(base, "shop", explorer=Explorer("shop")) as server:
        page = visit(server)
        pick(page, "ada")
        expect(page.locator("#user-note")).to_contain_text("The server has no event log")
        page.get_by_role("spinbutton", name="Items").fill("9")
        page.get_by_role("spinbutton", name="Items").press("Enter")
        expect(page.locator("#message")).to_have_text("The catalogue has 8 items: ask for 1 to 8.")
        page.get_by_role("spinbutton", name="Items").fill("0")
        page.get_by_role("spinbutton", name="Items").press("Tab")
        expect(page.locator("#message")).to_have_text("Ask for a whole number of items, 1 to 8.")
        page.get_by_role("spinbutton", name="Items").fill("8")
        page.get_by_role("searchbox", name="Catalogue").fill("zzz")
        expect(page.locator("#found-note")).to_have_text("No item has “zzz” in its title or id.")
    page.locator("#ranked .title").first.click()
    expect(page.get_by_role("alert")).to_contain_text("Start it again with `westwork serve --ui`")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_a_version_that_is_served_no_more_gives_way_to_the_new_one(base, visit, tmp_path):
    shutil.copytree(base / "7", tmp_path / "7")
    with running(tmp_path, "shop", explorer=Explorer("shop")) as server:
        page = visit(server)
        shutil.copytree(base / "7", tmp_path / "8")
        server.server.registry.refresh(at_once=True)
        page.locator("#ranked .title").first.click()
        expect(page.locator("#message")).to_have_text("Version 7 is served no more; this is 8.")
        expect(page.locator("#facts")).to_contain_text("version 8")
        expect(page.locator("#history .title")).to_have_count(1)


def test_without_titles_and_features_ids_do(base, visit, tmp_path):
    shutil.copytree(base / "7", tmp_path / "7")
    catalogue = tmp_path / "7" / "assets.extra" / "candidates.parquet"
    table = pq.read_table(catalogue).drop(["features"])
    pq.write_table(table.set_column(1, "title", table["id"]), catalogue)
    with running(tmp_path, "shop", explorer=Explorer("shop")) as server:
        page = visit(server)
        assert titles(page, "ranked")[:2] == ["007", "101"]
        expect(page.locator("#filter-choice")).to_be_hidden()
        assert page.locator(".features").count() == 0


def test_a_phone_shows_one_list_at_a_time_and_never_scrolls_sideways(shop, visit):
    page = visit(shop, "/explorer/#user=ada", viewport=PHONE, has_touch=True, is_mobile=True)
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    expect(page.locator("#retrieved")).to_be_hidden()
    page.get_by_role("tab", name="Re-ranked").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("tab", name="Retrieved")).to_be_focused()
    expect(page.locator("#ranked")).to_be_hidden()
    expect(page.locator("#retrieved .item").first.locator(".numbers")).to_be_visible()
    page.locator("#retrieved .item").first.get_by_role("button", name="Items similar to").tap()
    expect(page.get_by_role("dialog").locator(".item").first).to_be_visible()
    assert page.evaluate(width) == 360


def test_the_keyboard_is_enough(shop, visit):
    page = visit(shop)
    page.get_by_label("reader").focus()
    page.keyboard.type("bob")
    page.keyboard.press("Enter")
    expect(page.locator("#history .title")).to_have_count(3)
    page.locator("#ranked .title").nth(3).focus()
    page.keyboard.press("Tab")
    expect(page.locator("#ranked .item").nth(3).get_by_role("button", name="Items similar")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
