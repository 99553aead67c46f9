"""The numbers TFMA writes against the same numbers by hand, in plain numpy."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import spearmanr

from components.baselines.artifact import Baselines, Record, Tuned
from components.baselines.ials import IALS
from components.baselines.item_knn import ItemKNN
from components.baselines.popularity import PopularityOrder
from components.baselines.search import Trial
from components.evaluate.config import FUNNEL_METRICS, EvaluationConfig, metric_names
from components.evaluate.results import read_metrics
from components.ingest.declaration import Declaration

BOOKS = ["a", "b", "c", "d", "e", "f"]
READERS = ["ann", "bob"]
# Rows: ann, bob, everybody else. Retrieval and ratings disagree, so that no rival equals another.
SCORES = np.array([[6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6], [3, 6, 1, 5, 2, 4]], float)
STARS = np.array([[1.5, 2, 4.5, 4, 3, 2.5], [4, 1, 2, 4.5, 3, 5], [2, 3, 4, 1, 5, 3.5]], float)
# Positives, interactions, mean: d is liked most; e and f were never liked, f never even seen.
TRAIN = [(3, 4, 4.0), (2, 5, 3.0), (2, 2, 4.5), (9, 10, 4.5), (0, 1, 2.0), (0, 0, None)]
LIKED = {book: train[0] for book, train in zip(BOOKS, TRAIN, strict=True)}
POPULAR = ["d", "a", "b", "c", "e", "f"]
GLOBAL_MEAN = (4 * 4.0 + 5 * 3.0 + 2 * 4.5 + 10 * 4.5 + 1 * 2.0) / 22

# reader, book, stars, history
INTERACTIONS = [
    ("ann", "c", 5.0, []),
    ("ann", "a", 2.0, ["c"]),
    ("ann", "d", 4.0, ["c", "nowhere"]),
    ("bob", "f", 5.0, ["e", "d"]),
    ("bob", "d", 4.0, ["e", "d"]),
    ("bob", "b", 1.0, ["e"]),
    ("cid", "e", 4.0, list("abcdbc")),
    ("cid", "unheard-of", 5.0, ["a"]),
]
POSITIVES = [one for one in INTERACTIONS if one[2] >= 4]


def ranked(table: np.ndarray, reader: str, history: list[str], lacking: str = "") -> list[str]:
    """Books best first, without history and those the index lacks."""
    row = table[READERS.index(reader) if reader in READERS else len(READERS)]
    return [BOOKS[i] for i in np.argsort(-row) if BOOKS[i] not in history and BOOKS[i] not in lacking]


def by_hand(lists: list[list[str]], held_out: list[str]) -> dict[str, float]:
    """Formulas of the list metrics; the catalogue is smaller than both cut-offs' 10."""
    ranks = [
        books.index(book) + 1 if book in books else math.inf
        for books, book in zip(lists, held_out, strict=True)
    ]
    return {
        "recall@10": float(np.mean([rank <= 10 for rank in ranks])),
        "recall@100": float(np.mean([rank <= 100 for rank in ranks])),
        "ndcg@10": float(np.mean([1 / math.log2(rank + 1) for rank in ranks])),
        "mrr": float(np.mean([1 / rank for rank in ranks])),
        "coverage@10": len(set().union(*lists)) / len(BOOKS),
        "novelty@10": float(
            np.mean([np.mean([-math.log2(max(LIKED[book], 1) / 16) for book in books]) for books in lists])
        ),
        "popularity_bias@10": float(
            np.mean([np.mean([LIKED[book] for book in books]) for books in lists])
            / np.mean([LIKED.get(book, 0) for book in held_out])
        ),
    }


METRICS = ("recall@10", "recall@100", "ndcg@10", "mrr", "coverage@10", "novelty@10", "popularity_bias@10")
FACTORS = np.array([[1, 0.2], [0.9, -0.1], [0, 1], [-0.5, 0.6], [0, 0], [0, 0]])
REGULARIZATION, ALPHA = 0.5, 3.0
SIMILARITY = np.array(
    [
        *([1, 0.3, 0, 0, 0, 0], [0.3, 1, 0.2, 0, 0, 0], [0, 0.2, 1, 0.7, 0, 0], [0, 0, 0.7, 1, 0, 0]),
        *([0] * 6, [0] * 6),
    ]
)


def trained_list(kind: str, history: list[str], left_out: list[str]) -> list[str]:
    """What iALS or item-kNN ranks by the history; what has no score above 0 follows by popularity."""
    counts = np.array([history.count(book) for book in BOOKS], float)
    if kind == "ials":
        confidence = np.where(counts > 0, ALPHA * counts, 1)
        gram = FACTORS.T @ (confidence[:, None] * FACTORS) + REGULARIZATION * np.eye(2)
        scores = FACTORS @ np.linalg.solve(gram, FACTORS.T @ (confidence * (counts > 0)))
    else:
        scores = counts @ SIMILARITY
    best = sorted(BOOKS, key=lambda book: (-max(scores[BOOKS.index(book)], 0), POPULAR.index(book)))
    return [book for book in best if book not in left_out]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The artifact of trained baselines that know e and f as little as train does."""
    positives = np.array([LIKED[book] for book in BOOKS])
    order = PopularityOrder.of(positives)
    known = order.rows[: order.width]
    scorers = {
        "ials": IALS(FACTORS[known].astype(np.float32), REGULARIZATION, ALPHA),
        "item_knn": ItemKNN(csr_matrix(SIMILARITY[known][:, known].astype(np.float32))),
    }
    trial = Trial(settings={}, recall_at_10=0.0, recall_at_100=0.0)
    tuned = {kind: Tuned(chosen=trial, trials=(trial,)) for kind in scorers}
    record = Record(tuned=tuned, train_interactions=16, search_interactions=16, validation_interactions=1)
    folder = tmp_path_factory.mktemp("trained")
    ids = np.array([book.encode() for book in BOOKS], object)
    Baselines(ids, positives, order, scorers).save(str(folder / "Format-Serving"), record)
    return folder


TOY = dict(books=BOOKS, readers=READERS, scores=SCORES, stars=STARS, train=TRAIN, unindexed=["b"])


@pytest.fixture(scope="module")
def measured(evaluate_once, trained):
    """An evaluation without a gate; the index cannot find b."""
    return evaluate_once(TOY, INTERACTIONS, gate=False, trained=trained)


def by_name(uri: str) -> dict[tuple[str, str], float]:
    """Values by (slice, rival/name)."""
    return {(v.slice, f"{v.rival}/{v.name}"): v.value for v in read_metrics(uri)}


@pytest.fixture(scope="module")
def values(measured) -> dict[tuple[str, str], float]:
    return by_name(measured.uri)


def test_without_a_gate_nothing_is_blessed(measured):
    assert not measured.blessed


def test_every_metric_that_can_be_bounded_is_computed(values, declaration, heads):
    computed = {name for _, name in values}
    expected = set(metric_names(declaration.interactions, heads, EvaluationConfig()))
    counts = {"retrieve/positives", "retrieve/interactions", "exact_ranker/positives"}
    assert computed - expected == counts
    assert expected <= computed


def expected_lists(rival: str) -> list[list[str]]:
    if rival in ("ials", "item_knn"):
        return [trained_list(rival, history, history) for _, _, _, history in POSITIVES]
    tables = {"retrieve": (SCORES, "b"), "recommend": (STARS, "")}
    if rival == "popularity":
        return [[book for book in POPULAR if book not in history] for _, _, _, history in POSITIVES]
    table, lacking = tables[rival]
    return [ranked(table, reader, history, lacking) for reader, _, _, history in POSITIVES]


@pytest.mark.parametrize("rival", ["retrieve", "recommend", "popularity", "ials", "item_knn"])
@pytest.mark.parametrize("metric", METRICS)
def test_list_metrics_equal_those_by_hand(values, rival, metric):
    expected = by_hand(expected_lists(rival), [book for _, book, _, _ in POSITIVES])
    assert values["overall", f"{rival}/{metric}"] == pytest.approx(expected[metric])


def test_only_positive_interactions_are_held_out(values):
    assert values["overall", "retrieve/positives"] == len(POSITIVES)
    assert values["overall", "retrieve/interactions"] == len(INTERACTIONS)


@pytest.mark.parametrize(
    ("baseline", "lift"), [("popularity", "lift"), ("ials", "ials_lift"), ("item_knn", "item_knn_lift")]
)
@pytest.mark.parametrize("rival", ["retrieve", "recommend"])
def test_lift_is_the_difference_to_a_baseline(values, rival, baseline, lift):
    for name in ("recall@10", "recall@100", "ndcg@10"):
        difference = values["overall", f"{rival}/{name}"] - values["overall", f"{baseline}/{name}"]
        assert values["overall", f"{rival}/{name}_{lift}"] == pytest.approx(difference)


def test_ann_recall_is_the_share_of_exact_search_the_index_finds(values):
    shares = []
    for reader, _, _, history in POSITIVES:
        exact = ranked(SCORES, reader, history)
        shares.append(np.mean([book != "b" for book in exact]))
    assert values["overall", "retrieve/ann_recall@100"] == pytest.approx(float(np.mean(shares)))
    assert values["overall", "retrieve/ann_recall@100"] < 1


def predicted() -> np.ndarray:
    """Ratings as the model predicts them; the global mean for a book outside the catalogue."""
    rows = [READERS.index(reader) if reader in READERS else 2 for reader, _, _, _ in INTERACTIONS]
    return np.array(
        [
            STARS[row, BOOKS.index(book)] if book in BOOKS else GLOBAL_MEAN
            for row, (_, book, _, _) in zip(rows, INTERACTIONS, strict=True)
        ]
    )


def means() -> np.ndarray:
    mean = {
        book: GLOBAL_MEAN if train[2] is None else train[2] for book, train in zip(BOOKS, TRAIN, strict=True)
    }
    return np.array([mean.get(book, GLOBAL_MEAN) for _, book, _, _ in INTERACTIONS])


def rmse(predictions: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predictions - np.array([stars for _, _, stars, _ in INTERACTIONS])) ** 2)))


def test_rating_error_equals_that_by_hand(values):
    assert values["overall", "rating/rmse"] == pytest.approx(rmse(predicted()), rel=1e-5)
    assert values["overall", "candidate_mean/rmse"] == pytest.approx(rmse(means()), rel=1e-5)
    assert values["overall", "rating/rmse_ratio"] == pytest.approx(
        rmse(predicted()) / rmse(means()), rel=1e-5
    )


def test_auc_is_the_share_of_pairs_in_the_right_order(values):
    scores, positive = probabilities(), LABELS > 0
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    assert values["overall", "positive/auc"] == pytest.approx(
        np.mean((pairs > 0) + 0.5 * (pairs == 0)), abs=1e-3
    )


def probabilities() -> np.ndarray:
    """Of a positive; outside the catalogue train's share of them."""
    return np.append(1 / (1 + np.exp(-(predicted()[:-1] - 3.5))), 16 / 22)


LABELS = np.array([stars >= 4 for _, _, stars, _ in INTERACTIONS], float)


def test_log_loss_and_calibration_are_those_of_the_probabilities(values):
    likely = probabilities()
    loss = -np.mean(LABELS * np.log(likely) + (1 - LABELS) * np.log(1 - likely))
    assert values["overall", "positive/log_loss"] == pytest.approx(loss, rel=1e-5)
    assert values["overall", "positive/calibration"] == pytest.approx(likely.sum() / LABELS.sum(), rel=1e-5)
    known = [i for i, one in enumerate(INTERACTIONS) if one[0] != "cid"]
    assert values["query_known:known", "positive/calibration"] == pytest.approx(
        likely[known].sum() / LABELS[known].sum(), rel=1e-5
    )


def ndcg_by_reader(scores: np.ndarray, gains: np.ndarray) -> float:
    """The mean over readers who have any gain."""
    found = []
    for reader in ("ann", "bob", "cid"):
        mine = [i for i, one in enumerate(INTERACTIONS) if one[0] == reader]
        discounts = 1 / np.log2(np.arange(2, len(mine) + 2))
        shown = gains[mine][np.argsort(-scores[mine])]
        if gains[mine].any():
            found.append((shown * discounts).sum() / (np.sort(gains[mine])[::-1] * discounts).sum())
    return float(np.mean(found))


def test_each_query_s_interactions_are_ranked_by_the_probability(values):
    expected = ndcg_by_reader(probabilities(), LABELS)
    assert values["overall", "positive/ndcg@10"] == pytest.approx(expected, rel=1e-5)


def test_the_funnel_is_that_of_the_ranker_over_the_exact_catalogue(values):
    shares = []
    for reader, book, _, history in POSITIVES:
        exact = ranked(STARS, reader, history)
        retrieved = ranked(SCORES, reader, history, "b")
        # The toy ranks four of what it finds.
        delivered = retrieved[:4]
        row = READERS.index(reader) if reader in READERS else 2
        left = [i for i, other in enumerate(BOOKS) if other not in history]
        correlation = 0.0
        if len(left) > 1:
            correlation = spearmanr(SCORES[row][left], STARS[row][left]).statistic
        found, held = (
            float(np.mean([other in part for other in exact])) if exact else 1.0
            for part in (retrieved, delivered)
        )
        # The catalogue has fewer than ten books, and the toy shows all of them.
        shares.append([held, found, held, 1.0, book in delivered, book in exact, correlation])
    for name, expected in zip(FUNNEL_METRICS, np.mean(shares, axis=0), strict=True):
        assert values["overall", f"funnel/{name}"] == pytest.approx(expected), name
    lists = [ranked(STARS, reader, history) for reader, _, _, history in POSITIVES]
    expected = by_hand(lists, [book for _, book, _, _ in POSITIVES])
    for name in ("recall@10", "recall@100", "ndcg@10", "mrr"):
        assert values["overall", f"exact_ranker/{name}"] == pytest.approx(expected[name])


def test_ndcg_is_the_mean_over_queries_with_the_rating_as_gain(values):
    stars = np.array([stars for _, _, stars, _ in INTERACTIONS])
    expected = ndcg_by_reader(predicted(), stars)
    assert values["overall", "rating/ndcg@10"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("slice_", "interactions"),
    [
        ("query_activity:0", 1),
        ("query_activity:1-5", 6),
        ("query_activity:6-20", 1),
        ("query_known:known", 6),
        ("query_known:cold", 2),
        # 16 positives: d alone passes a third, a makes it 12 of 16, past two thirds.
        ("candidate_popularity:head", 2),
        ("candidate_popularity:middle", 1),
        ("candidate_popularity:tail", 2),
        ("candidate_popularity:cold", 3),
    ],
)
def test_slices_hold_the_interactions_their_name_says(values, slice_, interactions):
    assert values[slice_, "retrieve/interactions"] == interactions


def test_slice_metrics_are_those_of_its_interactions_alone(values):
    cold = [(reader, book, stars, history) for reader, book, stars, history in POSITIVES if reader == "cid"]
    lists = [ranked(SCORES, reader, history, "b") for reader, _, _, history in cold]
    expected = by_hand(lists, [book for _, book, _, _ in cold])
    assert values["query_known:cold", "retrieve/mrr"] == pytest.approx(expected["mrr"])
    assert values["query_known:cold", "retrieve/recall@10"] == pytest.approx(0.5)


def test_a_slice_without_positives_has_no_list_metrics(values):
    assert values["candidate_popularity:middle", "retrieve/interactions"] == 1
    assert values["candidate_popularity:middle", "retrieve/positives"] == 0
    assert math.isnan(values["candidate_popularity:middle", "retrieve/recall@10"])


# reader, book, stars, history, whether the reader had it before
REPEATED = [
    ("ann", "c", None, []),
    ("ann", "d", None, ["c", "a", "a"]),
    ("ann", "a", None, ["c", "a", "a", "d"]),
    ("bob", "f", None, ["e", "d", "e", "nowhere"]),
    # Before, but longer ago than the history reaches.
    ("bob", "c", None, ["e", "d"], True),
    # Not a positive interaction before, but in the history: it could not be found.
    ("bob", "e", None, ["e", "d"], False),
    ("cid", "b", None, list("fefe")),
]
OWN = [[], list("ac"), list("adc"), list("ed"), list("de"), list("de"), list("ef")]
NEW = [REPEATED[i] for i in (0, 1, 3, 6)]


@pytest.fixture(scope="module")
def repeated(evaluate_once, unrated, trained) -> dict[tuple[str, str], float]:
    """Values of a log without ratings, in which readers lend books again."""
    config = EvaluationConfig(repeats=True)
    evaluated = evaluate_once({**TOY, "rated": False}, REPEATED, config, declaration=unrated, trained=trained)
    return by_name(evaluated.uri)


def expected_repeated(rival: str) -> tuple[list[list[str]], list[str]]:
    """Lists, and books held out."""
    interactions = NEW if rival.endswith("_new") else REPEATED
    books = [one[1] for one in interactions]
    left_out = [one[3] if rival.endswith("_new") else [] for one in interactions]
    readers = [one[0] for one in interactions]
    pairs = list(zip(readers, left_out, strict=True))
    match rival.removesuffix("_new"):
        case "ials" | "item_knn" as kind:
            histories = [one[3] for one in interactions]
            return [trained_list(kind, *pair) for pair in zip(histories, left_out, strict=True)], books
        case "retrieve":
            return [ranked(SCORES, reader, out, "b") for reader, out in pairs], books
        case "recommend":
            return [ranked(STARS, reader, out) for reader, out in pairs], books
        case "own_frequent":
            return [own + [book for book in POPULAR if book not in own] for own in OWN], books
    return [[book for book in POPULAR if book not in out] for out in left_out], books


RIVALS = (
    *("retrieve", "recommend", "popularity", "own_frequent"),
    *("retrieve_new", "recommend_new", "popularity_new"),
    *("ials", "item_knn", "ials_new", "item_knn_new"),
)


@pytest.mark.parametrize("rival", RIVALS)
def test_list_metrics_with_repeats_equal_those_by_hand(repeated, rival):
    expected = by_hand(*expected_repeated(rival))
    for metric in METRICS:
        assert repeated["overall", f"{rival}/{metric}"] == pytest.approx(expected[metric]), metric


def test_the_lists_over_new_candidates_are_means_over_these_alone(repeated):
    assert repeated["overall", "retrieve/positives"] == len(REPEATED)
    assert repeated["overall", "retrieve_new/positives"] == len(NEW)
    assert repeated["query_activity:0", "retrieve_new/positives"] == 1


def test_each_of_the_models_lists_has_a_lift_over_its_own_baselines(repeated):
    for name in ("recall@10", "recall@100", "ndcg@10"):
        for rival, baseline, lift in (
            ("retrieve", "popularity", "lift"),
            ("recommend", "popularity", "lift"),
            ("recommend", "own_frequent", "own_frequent_lift"),
            ("retrieve_new", "popularity_new", "lift"),
            ("recommend_new", "popularity_new", "lift"),
            ("recommend", "ials", "ials_lift"),
            ("recommend_new", "ials_new", "ials_lift"),
            ("retrieve_new", "item_knn_new", "item_knn_lift"),
        ):
            difference = repeated["overall", f"{rival}/{name}"] - repeated["overall", f"{baseline}/{name}"]
            assert repeated["overall", f"{rival}/{name}_{lift}"] == pytest.approx(difference)


def test_a_log_without_ratings_and_negatives_has_no_metrics_of_them(repeated, unrated):
    computed = {name for _, name in repeated}
    config = EvaluationConfig(repeats=True)
    expected = set(metric_names(unrated.interactions, (), config))
    counts = {f"{rival}/positives" for rival in ("retrieve", "retrieve_new", "exact_ranker")}
    assert computed - expected == {*counts, "retrieve/interactions"}
    assert expected <= computed


# reader, book, action
WEIGHTS = {"look": 0, "borrow": 1, "buy": 5}
ACTED = [
    *(("ann", "c", "look"), ("ann", "a", "borrow"), ("ann", "d", "buy"), ("bob", "f", "borrow")),
    *(("bob", "d", "buy"), ("bob", "b", "look"), ("cid", "e", "buy"), ("cid", "f", "look")),
]


def test_each_head_is_measured_by_its_own_actions(evaluate_once, unrated):
    """Who bought has borrowed, too."""
    log = unrated.interactions.model_dump() | {"actions": {"column": "what", "weights": WEIGHTS}}
    declaration = Declaration.model_validate(unrated.model_dump() | {"interactions": log})
    toy = {**TOY, "rated": False, "heads": {"borrow": 3.0, "buy": 4.0}}
    interactions = [(reader, book, None, [], False, action) for reader, book, action in ACTED]
    evaluated = evaluate_once(toy, interactions, EvaluationConfig(), declaration=declaration)
    values = by_name(evaluated.uri)
    row = {reader: READERS.index(reader) if reader in READERS else 2 for reader, _, _ in ACTED}
    stars = np.array([STARS[row[reader], BOOKS.index(book)] for reader, book, _ in ACTED])
    did = np.array([action for _, _, action in ACTED])
    for head, number, label in (("borrow", 3, did != "look"), ("buy", 4, did == "buy")):
        likely = 1 / (1 + np.exp(number - stars))
        pairs = likely[label][:, None] - likely[~label][None, :]
        auc = np.mean((pairs > 0) + 0.5 * (pairs == 0))
        assert values["overall", f"{head}/auc"] == pytest.approx(auc, abs=1e-3)
        loss = -np.mean(np.where(label, np.log(likely), np.log(1 - likely)))
        assert values["overall", f"{head}/log_loss"] == pytest.approx(loss, rel=1e-5)
        calibration = likely.sum() / label.sum()
        assert values["overall", f"{head}/calibration"] == pytest.approx(calibration, rel=1e-5)
