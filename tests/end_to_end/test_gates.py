"""Gates that do not let a model pass, on music streams."""

import re

from command import MUSIC, westwork


def test_a_model_under_a_floor_and_a_slow_one_are_not_blessed_and_the_earlier_version_stays(music):
    before = {path.name for path in (music.root / "serving").iterdir()}
    refused = westwork(
        *("run", "--domain", MUSIC, "--root", str(music.root)),
        *("--set", "evaluation.floors={recommend/ndcg@10_lift: 0.99}"),
        *("--set", "serving.latency_p50_ms=0.0001"),
    )
    assert refused.returncode == 3, refused.stdout + refused.stderr
    assert "RankingTrainer cached" in refused.stdout
    for gate in ("Evaluator", "InfraValidator"):
        assert re.search(rf"^{gate} done .* does not bless the model$", refused.stdout, re.MULTILINE)
    assert re.search(r"recommend/ndcg@10_lift -?[\d.e-]+ is below its floor 0.99", refused.stdout)
    assert re.search(
        r"^  too slow: .* where serving.latency_p50_ms allows 0.0001", refused.stdout, re.MULTILINE
    )
    assert "NOT BLESSED" in refused.stdout
    assert {path.name for path in (music.root / "serving").iterdir()} == before
