"""What the RankingTrainer waits for."""

import pytest

from pipeline.domain import load_domain
from pipeline.graph import Places, create_pipeline


@pytest.mark.parametrize(
    ("negatives", "waits"),
    [(None, False), ("{uniform: 4}", False), ("{uniform: 4, retrieved: 4}", True)],
)
def test_it_waits_for_the_towers_only_where_negatives_are_retrieved(tmp_path, negatives, waits):
    domain = load_domain("movielens", [f"ranking.negatives={negatives}"] if negatives else [])
    pipeline = create_pipeline(domain, Places(*[str(tmp_path)] * 4))
    ranking = next(node for node in pipeline.components if node.id == "RankingTrainer")
    assert ("RetrievalTrainer" in {node.id for node in ranking.upstream_nodes}) == waits
