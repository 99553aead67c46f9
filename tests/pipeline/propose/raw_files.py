"""Raw files as people have them, small: the forms of public data sets, as dirty as those are."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2011, 3, 1, 8, 0, tzinfo=UTC)


def write(
    path: Path, header: Sequence[str] | None, rows: Iterable[Sequence[Any]], delimiter: str = ","
) -> Path:
    """Write a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    if header is not None:
        writer.writerow(header)
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def _popular(chance: random.Random, count: int) -> int:
    """A number below ``count``, small ones far more often."""
    return min(count - 1, int(count * chance.random() ** 2))


def online_retail(folder: Path, names: Sequence[str] | None = None, orders: int = 500) -> list[Path]:
    """Order lines of a wholesaler: gaps in the customers, cancellations, codes that are no goods."""
    chance = random.Random(1)
    rows: list[list[Any]] = []
    moment = START
    for number in range(orders):
        moment += timedelta(minutes=chance.randint(1, 300))
        customer = "" if chance.random() < 0.2 else f"{12346 + _popular(chance, 80)}.0"
        cancelled = bool(rows) and chance.random() < 0.1
        invoice = f"{'C' if cancelled else ''}{536365 + number}"
        # Two kinds of rows in which nothing is sold.
        extra = [("POST", "POSTAGE"), ("M", "Manual")] if chance.random() < 0.1 else []
        for _ in range(chance.randint(1, 8)):
            item = _popular(chance, 90)
            code = f"{21000 + item // 3}{'ABC'[item % 3]}"
            name = f"{['RED', 'WHITE', 'BLUE'][item % 3]} HANGING HEART {item}"
            extra.append((code, "?" if chance.random() < 0.02 else name))
        for code, name in extra:
            quantity = chance.choice([1, 2, 6, 12, 24]) * (-1 if cancelled else 1)
            price = round(0.85 + sum(map(ord, code)) % 40 / 10, 2)
            country = "United Kingdom" if sum(map(ord, customer)) % 10 else "France"
            when = f"{moment.month}/{moment.day}/{moment.year} {moment.hour}:{moment.minute:02d}"
            rows.append([invoice, code, name, quantity, when, price, customer, country])
    header = [
        "Invoice",
        "StockCode",
        "Description",
        "Quantity",
        "InvoiceDate",
        "Price",
        "Customer ID",
        "Country",
    ]
    return [write(folder / "online_retail_II.csv", names or header, rows)]


def order_lines_without_names(folder: Path) -> list[Path]:
    """The same, under names that say nothing."""
    return online_retail(folder, names=list("abcdefgh"))


def rees46(folder: Path) -> list[Path]:
    """Events of a shop in one file, with the users' sessions and what is known of the products."""
    chance = random.Random(2)
    moment, rows = START, []
    for session in range(500):
        moment += timedelta(minutes=chance.randint(5, 200))
        user = 500_000_000 + _popular(chance, 90)
        for step in range(chance.randint(1, 6)):
            product = _popular(chance, 120)
            rows.append(
                [
                    (moment + timedelta(seconds=40 * step)).strftime("%Y-%m-%d %H:%M:%S UTC"),
                    chance.choices(["view", "cart", "purchase"], [8, 2, 1])[0],
                    1_000_000 + product,
                    2_053_013_552_326_770_900 + product % 11,
                    "" if product % 4 == 0 else f"electronics.kind{product % 11}",
                    ["samsung", "apple", "", "lg"][product % 4],
                    round(5 + product * 1.7, 2),
                    user,
                    f"{session:08x}-87b0-4cf3",
                ]
            )
    header = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
    return [write(folder / "2019-Nov.csv", header.split(","), rows)]


def retailrocket(folder: Path) -> list[Path]:
    """Events, the items' properties in long form, a tree of categories."""
    chance = random.Random(3)
    moment, events = START, []
    for _ in range(2000):
        moment += timedelta(seconds=chance.randint(10, 4000))
        kind = chance.choices(["view", "addtocart", "transaction"], [16, 2, 1])[0]
        order = chance.randrange(9000) if kind == "transaction" else ""
        events.append(
            [int(moment.timestamp() * 1000), _popular(chance, 150), kind, _popular(chance, 120), order]
        )
    properties = [
        [int(START.timestamp() * 1000), item, name, value]
        for item in range(150)
        for name, value in (("categoryid", item % 9), ("available", 1), ("790", f"n{item * 120}.000"))
    ]
    tree = [[category, category // 3 or ""] for category in range(60)]
    return [
        write(folder / "events.csv", ["timestamp", "visitorid", "event", "itemid", "transactionid"], events),
        write(folder / "item_properties_part1.csv", ["timestamp", "itemid", "property", "value"], properties),
        write(folder / "category_tree.csv", ["categoryid", "parentid"], tree),
    ]


def diginetica(folder: Path) -> list[Path]:
    """Sessions whose user is hardly ever known, days without hours, and a place within the session."""
    chance = random.Random(4)
    views, bought = [], []
    for session in range(1, 500):
        user = str(_popular(chance, 80)) if chance.random() < 0.25 else "NA"
        day = (START + timedelta(days=session // 9)).strftime("%Y-%m-%d")
        frame = 0
        for _ in range(chance.randint(1, 6)):
            frame += chance.randint(1000, 300_000)
            views.append([session, user, 1000 + _popular(chance, 100), frame, day])
        if chance.random() < 0.2:
            bought.append([session, user, frame + 5000, day, session + 7000, views[-1][2]])
    products = [[1000 + item, item % 12, f"{item},{item * 7 % 90},{item % 13}"] for item in range(100)]
    return [
        write(
            folder / "train-item-views.csv",
            ["sessionId", "userId", "itemId", "timeframe", "eventdate"],
            views,
            ";",
        ),
        write(
            folder / "train-purchases.csv",
            ["sessionId", "userId", "timeframe", "eventdate", "ordernumber", "itemId"],
            bought,
            ";",
        ),
        write(folder / "products.csv", ["itemId", "pricelog2", "product.name.tokens"], products, ";"),
    ]


def yoochoose(folder: Path) -> list[Path]:
    """Clicks of sessions and what was bought, two files without headers."""
    chance = random.Random(5)
    clicks, buys = [], []
    moment = START
    for session in range(1, 600):
        moment += timedelta(minutes=chance.randint(20, 200))
        at = moment
        for _ in range(chance.randint(1, 6)):
            at += timedelta(seconds=chance.randint(3, 400))
            item = 214_500_000 + _popular(chance, 100)
            stamp = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{chance.randrange(1000):03d}Z"
            clicks.append([session, stamp, item, chance.choice([0, 0, "S", 3])])
        if chance.random() < 0.2:
            buys.append([session, stamp, item, 100 * chance.randint(1, 90), chance.randint(1, 3)])
    return [
        write(folder / "yoochoose-clicks.dat", None, clicks),
        write(folder / "yoochoose-buys.dat", None, buys),
    ]


def mind(folder: Path) -> list[Path]:
    """Impressions that list what was shown and clicked, and news; both without a header."""
    chance = random.Random(6)
    behaviors, moment = [], datetime(2019, 11, 11, 9, 5, 58, tzinfo=UTC)
    for number in range(1, 500):
        moment += timedelta(seconds=chance.randint(10, 900))
        shown = [f"N{_popular(chance, 90)}-{int(chance.random() < 0.2)}" for _ in range(chance.randint(2, 9))]
        read = " ".join(f"N{_popular(chance, 90)}" for _ in range(chance.randint(0, 5)))
        hour = moment.hour % 12 or 12
        when = f"{moment.month}/{moment.day}/{moment.year} {hour}{moment:%M:%S}".replace(
            f" {hour}{moment:%M}", f" {hour}:{moment:%M}"
        )
        half = "AM" if moment.hour < 12 else "PM"
        behaviors.append([number, f"U{_popular(chance, 70)}", f"{when} {half}", read, " ".join(shown)])
    news = [
        [
            f"N{item}",
            ["lifestyle", "news", "sports"][item % 3],
            f"kind{item % 7}",
            f'The "{item}" headline of the day',
            f"What happened in place {item} and why",
            f"https://assets.msn.com/labs/mind/{item}.html",
            "[]",
            "[]",
        ]
        for item in range(90)
    ]
    lines = ["\t".join(map(str, row)) for row in news]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "news.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [write(folder / "behaviors.tsv", None, behaviors, "\t"), folder / "news.tsv"]


def bookcrossing(folder: Path) -> list[Path]:
    """Semicolons, Latin-1, quotes everywhere, backslashes before quotes; 0 for no rating, and no time."""
    chance = random.Random(7)
    books, seen = [], {}
    for item in range(300):
        title = f'Die \\"schöne\\" Nr. {item}' if item % 9 == 0 else f"Das Buch Nr. {item}; oder nicht"
        seen[item] = f"{(item * 37) % 10_000_000:09d}X"
        books.append([seen[item], title, f"Müller {item % 20}", 1950 + item % 50, f"Verlag {item % 8}"])
    ratings = []
    for user in range(1, 300):
        for item in chance.sample(range(330), chance.randint(1, 12)):
            grade = 0 if chance.random() < 0.6 else chance.choice([5, 6, 7, 8, 8, 9, 10])
            ratings.append([user, seen.get(item, f"{item:010d}"), grade])
    users = [
        [user, f"town {user % 40}, germany", "NULL" if user % 3 else 20 + user % 50] for user in range(1, 320)
    ]
    tables = {
        "BX-Book-Ratings.csv": (["User-ID", "ISBN", "Book-Rating"], ratings),
        "BX-Books.csv": (["ISBN", "Book-Title", "Book-Author", "Year-Of-Publication", "Publisher"], books),
        "BX-Users.csv": (["User-ID", "Location", "Age"], users),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (header, rows) in tables.items():
        lines = [
            ";".join(f'"{cell}"' if cell != "NULL" else "NULL" for cell in row) for row in (header, *rows)
        ]
        (folder / name).write_bytes(("\r\n".join(lines) + "\r\n").encode("latin-1"))
    return [folder / name for name in tables]


def lastfm(folder: Path) -> list[Path]:
    """Plays, newest first, without a header; a tenth of the tracks has no id."""
    chance = random.Random(8)
    rows = []
    for user in range(1, 40):
        moment = START + timedelta(days=900)
        for _ in range(chance.randint(30, 90)):
            moment -= timedelta(minutes=chance.randint(3, 2000))
            track = _popular(chance, 250)
            artist = track % 40
            track_id = "" if track % 10 == 0 else f"{track:08x}-track"
            when = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
            rows.append(
                [
                    f"user_{user:06d}",
                    when,
                    f"{artist:08x}-artist",
                    f"The Band {artist}",
                    track_id,
                    f"Song no {track}",
                ]
            )
    lines = ["\t".join(map(str, row)) for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "userid-timestamp-artid-artname-traid-traname.tsv").write_text("\n".join(lines) + "\n")
    return [folder / "userid-timestamp-artid-artname-traid-traname.tsv"]


def amazon_reviews(folder: Path) -> list[Path]:
    """Reviews, an object a line, with nested values, beside what is known of the products."""
    chance = random.Random(9)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "reviews_Office.json").open("w") as file:
        for number in range(1500):
            row = {
                "reviewerID": f"A{_popular(chance, 200):09d}",
                "asin": f"B{_popular(chance, 120):09d}",
                "reviewerName": f"Somebody {number % 190}",
                "helpful": [number % 3, 3],
                "reviewText": f"I bought it {number} times and it is fine",
                "overall": float(chance.choice([1, 3, 4, 5, 5, 5])),
                "unixReviewTime": int((START + timedelta(days=number // 4)).timestamp()),
            }
            file.write(json.dumps(row) + "\n")
    with (folder / "meta_Office.json").open("w") as file:
        for item in range(120):
            row = {
                "asin": f"B{item:09d}",
                "title": f"Stapler type {item}",
                "price": round(math.exp(item / 30), 2),
            }
            file.write(json.dumps(row) + "\n")
    return [folder / "reviews_Office.json", folder / "meta_Office.json"]


Generator = Callable[[Path], list[Path]]
