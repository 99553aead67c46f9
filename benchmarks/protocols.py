"""The protocols of published retrieval results: which split, which metric, what others have reached."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.public_splits import (
    SCORED_AT_ONCE,
    Log,
    PublicSplit,
    all_items,
    earlier_items,
    encoded,
    one_a_user,
    other_items,
    read_log,
    read_table,
    scores,
    training_inputs,
)
from components.retrieval.model import RetrievalModel
from components.transform.interaction_dataset import EncodedInteractions
from pipeline.acquire import acquire
from pipeline.domain import load_domain
from pipeline.run_root import RunRoot

VALIDATION_SEED = 20_26
"""Of what is kept of train to choose hyper-parameters; the same for every model seed."""

SPLIT_SEED = 42
"""Of a random split into train and test: the tutorial's own."""

PARTS = 10
"""How many queries a user's training items make where they have no order."""

TOP_100 = "top-100 accuracy"
"""The tutorial's name for recall@100 where each interaction is asked for alone."""

Protocol = Callable[[Path, int, bool], PublicSplit]
"""From the data's folder, the length of histories, and whether to score what is kept of train, to a split."""


def ncf_ml1m(data: Path, length: int, choosing: bool) -> PublicSplit:
    """MovieLens-1M, leave-last-out, the held-out film among 99 negatives: He et al., WWW 2017.

    A negative list may hold its own positive (156 do); it then counts once. A tie counts against the model.
    """
    log = read_log(data / "ncf_ml1m" / "train.parquet", 6040, 3706)
    kept = one_a_user(log, VALIDATION_SEED)
    train = log.kept(~kept) if choosing else log
    if choosing:
        users, positives = log.users[kept], log.items[kept]
        negatives = _unseen(log, users, 99)
    else:
        table = read_table(data / "ncf_ml1m" / "test_negatives.parquet")
        users, positives = table["user"].to_numpy(), table["item"].to_numpy()
        negatives = np.array(table["negatives"].to_pylist())

    def evaluate(model: RetrievalModel) -> dict[str, float]:
        catalogue, ranks = model.embed_catalogue(), []
        for at in range(0, len(users), SCORED_AT_ONCE):
            part = slice(at, at + SCORED_AT_ONCE)
            scored = scores(model, users[part], all_items(train, users[part], length), catalogue)
            lines = np.arange(len(scored))[:, None]
            own = scored[lines, positives[part, None]]
            better = (scored[lines, negatives[part]] >= own) & (negatives[part] != positives[part, None])
            ranks.append(better.sum(axis=1))
        return _one_target(np.concatenate(ranks))

    return PublicSplit(
        training_inputs(log, _unordered(train, length), _held_out(train, log, kept, length)),
        evaluate,
        {
            "iALS (TOIS 2021)": {"hr@10": 0.7109, "ndcg@10": 0.4382},
            "EASE (TOIS 2021)": {"hr@10": 0.7192, "ndcg@10": 0.4494},
            "dot product MF (RecSys 2020)": {"hr@10": 0.7294, "ndcg@10": 0.4523},
        },
        exclude_history=choosing,
    )


def gowalla_lightgcn(data: Path, length: int, choosing: bool) -> PublicSplit:
    """Gowalla check-ins, full ranking without train's items: He et al., "LightGCN", SIGIR 2020."""
    log = read_log(data / "gowalla_lightgcn" / "train.parquet", 29_858, 40_981)
    kept = np.random.default_rng(VALIDATION_SEED).random(len(log.users)) < 0.1
    train, test = log, read_log(data / "gowalla_lightgcn" / "test.parquet", 29_858, 40_981)
    if choosing:
        train, test = log.kept(~kept), log.kept(kept)
    return PublicSplit(
        training_inputs(log, _unordered(train, length), _held_out(train, log, kept, length)),
        lambda model: _several_targets(model, train, test, length, k=20),
        {
            "EASE (BARS)": {"recall@20": 0.1765, "ndcg@20": 0.1467},
            "LightGCN (SIGIR 2020)": {"recall@20": 0.1830, "ndcg@20": 0.1550},
        },
        exclude_history=choosing,
    )


def s3rec_beauty(data: Path, length: int, choosing: bool) -> PublicSplit:
    """Amazon Beauty, the next item of a sequence, full ranking: Zhou et al., "S3-Rec", CIKM 2020.

    The last item of each user is the test, the one before it the validation; items of the request's own
    history cannot be the answer.
    """
    log = read_log(data / "s3rec_beauty" / "sequences.parquet", 22_364, 12_102, order="pos")
    from_end = log.starts[log.users + 1] - 1 - np.arange(len(log.users))
    train = log.kept(from_end >= 2)
    places = np.flatnonzero((from_end >= 2) & (np.arange(len(log.users)) > log.starts[log.users]))
    examples = encoded(log.users[places], earlier_items(log, places, length), log.items[places])
    validation = np.flatnonzero(from_end == 1)
    held_out = encoded(log.users[validation], earlier_items(log, validation, length), log.items[validation])
    asked = validation if choosing else np.flatnonzero(from_end == 0)

    def evaluate(model: RetrievalModel) -> dict[str, float]:
        catalogue, ranks = model.embed_catalogue(), []
        for at in range(0, len(asked), SCORED_AT_ONCE):
            part = asked[at : at + SCORED_AT_ONCE]
            scored = scores(model, log.users[part], earlier_items(log, part, length), catalogue)
            own = scored[np.arange(len(part)), log.items[part]]
            for line, place in enumerate(part):
                seen = log.items[log.starts[log.users[place]] : place]
                scored[line, seen[seen != log.items[place]]] = -np.inf
            # Rows of the catalogue start at item 1.
            ranks.append((scored[:, 1:] >= own[:, None]).sum(axis=1) - 1)
        return _one_target(np.concatenate(ranks))

    return PublicSplit(
        training_inputs(train, examples, held_out, _beauty_attributes(data)),
        evaluate,
        {
            "SASRec (S3-Rec repository)": {"hr@10": 0.0605, "ndcg@10": 0.0318},
            "S3-Rec (CIKM 2020)": {"hr@10": 0.0647, "ndcg@10": 0.0327},
        },
    )


def movielens_tfrs(_data: Path, length: int, choosing: bool) -> PublicSplit:
    """MovieLens-100K, a random fifth held out, among all films: the TFRS tutorial ``deep_recommenders``.

    Every rating counts as an interaction, whatever its stars. Top-100 accuracy is the share of held-out
    interactions whose film is among the hundred best of all 1,682 for its user (recall@100, each interaction
    alone). The tutorial leaves the films of train in, where they take places that none of the held-out can
    take; without them is the second value. A tie counts against the model. What the tutorial does with the
    same split and this does not: its query also knows the moment of the rating, its towers the titles, by
    which it identifies films (1,664 different ones).

    The data are not in the benchmarks' folder: the domain ``movielens`` acquires them, to where its demo has
    them.
    """
    log = _movielens_log()
    rng = np.random.default_rng(SPLIT_SEED)
    held_out = np.ones(len(log.users), bool)
    held_out[rng.permutation(len(log.users))[: len(log.users) * 4 // 5]] = False
    kept = ~held_out & (np.random.default_rng(VALIDATION_SEED).random(len(log.users)) < 0.1)
    train = log.kept(~held_out & ~kept)
    known, asked = (train, log.kept(kept)) if choosing else (log.kept(~held_out), log.kept(held_out))
    return PublicSplit(
        # What is kept of train is not trained on for the test either: it says when to stop.
        training_inputs(
            log, other_items(train, PARTS, length, VALIDATION_SEED), _held_out(train, log, kept, length)
        ),
        lambda model: _top_100_accuracy(model, known, asked, length),
        {
            "TFRS deep_recommenders, shallow": {TOP_100: 0.27},
            "TFRS deep_recommenders, deep": {TOP_100: 0.29},
        },
        exclude_history=False,
    )


def _movielens_log() -> Log:
    domain = load_domain("movielens")
    folder = RunRoot.of(None, domain.name).data
    assert domain.acquire is not None
    acquire(domain.acquire, folder, None, lambda line: print(line, file=sys.stderr))
    ratings, films = (read_table(folder / name) for name in ("interactions.parquet", "candidates.parquet"))
    users, user = np.unique(ratings["user_id"].to_numpy(), return_inverse=True)
    ids = np.unique(films["movie_id"].to_numpy())
    item = np.searchsorted(ids, ratings["movie_id"].to_numpy())
    # By user and film, so that the split does not hang on the order of the file.
    order = np.lexsort((item, user))
    return Log(user[order], item[order], len(users), len(ids))


def _unordered(train: Log, length: int) -> EncodedInteractions:
    """A query a user with all that is known of it; what of it is to be predicted, event dropout decides."""
    users, query_of = np.unique(train.users, return_inverse=True)
    return encoded(users, all_items(train, users, length), train.items, query_of)


def _held_out(train: Log, log: Log, kept: np.ndarray, length: int) -> EncodedInteractions:
    """What is kept of train, with the histories of train."""
    users = log.users[kept]
    return encoded(users, all_items(train, users, length), log.items[kept])


def _unseen(log: Log, users: np.ndarray, count: int) -> np.ndarray:
    """For each user, items drawn evenly from those without an interaction: int64 [users, count]."""
    rng, starts = np.random.default_rng(VALIDATION_SEED), log.starts
    lines = []
    for user in users:
        unseen = np.setdiff1d(np.arange(log.item_count), log.items[starts[user] : starts[user + 1]])
        lines.append(rng.choice(unseen, count, replace=False))
    return np.stack(lines)


def _beauty_attributes(data: Path) -> np.ndarray:
    table = read_table(data / "s3rec_beauty" / "item_attributes.parquet")
    values = table["attributes"].to_pylist()
    attributes = np.zeros((12_102, max(map(len, values))), np.int64)
    for item, own in zip(table["item"].to_pylist(), values, strict=True):
        attributes[item, : len(own)] = own
    return attributes


def _one_target(ranks: np.ndarray) -> dict[str, float]:
    """Hit rate and NDCG at 10 from how many candidates are ranked above the only right one."""
    hits = ranks < 10
    return {"hr@10": float(hits.mean()), "ndcg@10": float((hits / np.log2(ranks + 2)).mean())}


def _several_targets(model: RetrievalModel, train: Log, test: Log, length: int, k: int) -> dict[str, float]:
    """Recall and NDCG at k over users with held-out items; ideal lists hold at most k of them."""
    catalogue, users = model.embed_catalogue(), np.unique(test.users)
    recalls, gains = [], []
    discounts = 1 / np.log2(np.arange(k) + 2)
    for at in range(0, len(users), SCORED_AT_ONCE):
        part = users[at : at + SCORED_AT_ONCE]
        scored = scores(model, part, all_items(train, part, length), catalogue)
        for line, user in enumerate(part):
            scored[line, train.items[train.starts[user] : train.starts[user + 1]]] = -np.inf
        top = np.argpartition(-scored, k, axis=1)[:, :k]
        order = np.take_along_axis(-scored, top, axis=1).argsort(axis=1)
        top = np.take_along_axis(top, order, axis=1)
        for line, user in enumerate(part):
            wanted = test.items[test.starts[user] : test.starts[user + 1]]
            hits = np.isin(top[line], wanted)
            recalls.append(hits.sum() / len(wanted))
            gains.append((hits * discounts).sum() / discounts[: min(k, len(wanted))].sum())
    return {f"recall@{k}": float(np.mean(recalls)), f"ndcg@{k}": float(np.mean(gains))}


def _top_100_accuracy(model: RetrievalModel, train: Log, test: Log, length: int) -> dict[str, float]:
    """Share of the test's interactions with an item among the hundred best, train's items left in and out."""
    catalogue, users = model.embed_catalogue(), np.unique(test.users)
    all_ranks, unseen_ranks = [], []
    for at in range(0, len(users), SCORED_AT_ONCE):
        part = users[at : at + SCORED_AT_ONCE]
        scored = scores(model, part, all_items(train, part, length), catalogue)
        for line, user in zip(scored, part, strict=True):
            own = line[test.items[test.starts[user] : test.starts[user + 1]], None]
            all_ranks.append((line >= own).sum(axis=1) - 1)
            line[train.items[train.starts[user] : train.starts[user + 1]]] = -np.inf
            unseen_ranks.append((line >= own).sum(axis=1) - 1)
    return {
        TOP_100: float((np.concatenate(all_ranks) < 100).mean()),
        f"{TOP_100} without train's items": float((np.concatenate(unseen_ranks) < 100).mean()),
    }


PROTOCOLS: dict[str, Protocol] = {
    "ncf_ml1m": ncf_ml1m,
    "gowalla_lightgcn": gowalla_lightgcn,
    "s3rec_beauty": s3rec_beauty,
    "movielens_tfrs": movielens_tfrs,
}
