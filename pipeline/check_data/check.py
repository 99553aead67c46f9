"""Domain and data looked at from all sides, without training."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.example_schema import candidate_features, interaction_features
from components.ingest.plan import InteractionPlan
from components.ingest.validation import context_field, interactions_of
from pipeline.check_data.advice import about_history, about_log, about_splits, about_times, about_titles
from pipeline.check_data.currency import about_currencies
from pipeline.check_data.events import Events, log_facts, read_events
from pipeline.check_data.feature_facts import feature_facts, shown_facts
from pipeline.check_data.found_files import CANDIDATES, INTERACTIONS, QUERIES, FoundTable, find_tables
from pipeline.check_data.id_forms import about_id_forms
from pipeline.check_data.nobodies import about_nobodies
from pipeline.check_data.reference import Reference, read_reference
from pipeline.check_data.report import FeatureFacts, Finding, Report, TableFacts
from pipeline.check_data.schema_files import check_schema, told
from pipeline.check_data.splits import history_facts, split_facts
from pipeline.check_data.training import about_training
from pipeline.domain import Domain
from pipeline.schema_files import CANDIDATE_SCHEMA, INTERACTION_SCHEMA

MOST_ROWS = 1 << 22
"""Interactions held in memory at once; in a longer log, what needs all rows of a query is seen of some."""

_ANOMALIES = "pipeline.check_data.schema_anomalies"


def check_data(
    domain: Domain, data_dir: str, tell: Callable[[str], None] = lambda _: None, most_rows: int = MOST_ROWS
) -> Report:
    """Looks at a domain and its data.

    Args:
        domain: The domain; its folder holds the schemas.
        data_dir: Directory that relative file patterns start from.
        tell: Called with what is being done.
        most_rows: Interactions to hold in memory at most.

    Returns:
        Everything found; faults of the data are findings, never exceptions.
    """
    declaration = domain.declaration
    tell("looking for files")
    tables, findings = find_tables(declaration, data_dir)
    schemas, of_schemas = _schemas(domain)
    # TFDV takes as long to load as some million rows to read, so the one is done during the other.
    loading = threading.Thread(target=importlib.import_module, args=(_ANOMALIES,), daemon=True)
    if not findings and (any(schemas) or domain.distributions.skew):
        loading.start()
    tell("reading the catalogue and the queries")
    reference = read_reference(declaration, tables)
    events = read_events(declaration, tables, reference, most_rows, tell)
    tell("looking at features")
    features, of_features = _features(domain, reference, events)
    report = Report(
        title=domain.title,
        folder=str(domain.folder),
        data=data_dir,
        tables=tuple(_table_facts(tables, reference, events)),
        order=declaration.interactions.timestamp.order,
        candidates=reference.catalogue.num_rows if reference.catalogue is not None else None,
        features=tuple(features),
    )
    findings += [*reference.findings, *about_titles(domain, reference.catalogue)]
    if events is not None:
        report, of_events = _with_events(domain, reference, events, report)
        findings += of_events
    findings += [*of_features, *about_currencies(declaration, tables), *of_schemas]
    if loading.ident is not None:
        tell("comparing values with the schemas")
        loading.join()
        findings += _anomalies(domain, schemas, reference, events)
    return report.model_copy(update={"findings": tuple(findings)})


def _schemas(
    domain: Domain,
) -> tuple[tuple[schema_pb2.Schema | None, schema_pb2.Schema | None], list[Finding]]:
    """The schemas of interactions and candidates, and what is wrong with them."""
    declaration = domain.declaration
    interactions, found = check_schema(domain.folder / INTERACTION_SCHEMA, interaction_features(declaration))
    candidates, more = check_schema(domain.folder / CANDIDATE_SCHEMA, candidate_features(declaration))
    return (interactions, candidates), [*found, *more]


def _table_facts(
    tables: list[FoundTable], reference: Reference, events: Events | None
) -> Iterator[TableFacts]:
    source = 0
    for table in tables:
        rows = None
        if table.name == INTERACTIONS:
            rows = events.reading.rows_by_source[source] if events else None
            source += 1
        elif table.name == CANDIDATES and reference.candidate_ids is not None:
            rows = len(reference.candidate_ids)
        elif table.name == QUERIES and reference.queries is not None:
            rows = reference.queries.num_rows
        yield table.facts(rows)


def _with_events(
    domain: Domain, reference: Reference, events: Events, report: Report
) -> tuple[Report, list[Finding]]:
    """The report with what the log shows, and what is to be said of that."""
    findings = [Finding(level="error", about=INTERACTIONS, message=fault) for fault in events.reading.faults]
    log = log_facts(domain.declaration, events, reference.queries is not None)
    own = len(events.ids) - len(events.stubs)
    findings += about_log(domain, log, own, events.reading.unknown, events.ids)
    findings += about_times(domain, events.reading.wrong_times)
    update: dict[str, object] = {"log": log}
    if events.divided is not None:
        splits = split_facts(events.divided)
        history = history_facts(events.divided.partition, domain.history.length)
        cuts = events.divided.cuts
        update |= {
            "splits": splits,
            "history": history,
            "eval_from": cuts.eval_from if cuts else None,
            "test_from": cuts.test_from if cuts else None,
        }
        findings += [
            *about_splits(domain, splits),
            *about_training(domain, events.divided, whole=log.exact),
            *about_history(history),
        ]
    return report.model_copy(update=update), findings


def _features(
    domain: Domain, reference: Reference, events: Events | None
) -> tuple[list[FeatureFacts], list[Finding]]:
    """Every declared feature whose values could be read."""
    columns: list[tuple[str, str, pa.ChunkedArray]] = []
    if reference.catalogue is not None:
        columns += [(CANDIDATES, name, reference.catalogue[name]) for name in domain.candidates.features]
    if reference.queries is not None and domain.queries is not None:
        columns += [(QUERIES, name, reference.queries[name]) for name in domain.queries.features]
    log = domain.interactions
    facts: list[FeatureFacts] = []
    findings: list[Finding] = []
    if events is not None and events.kept.rows:
        kept = pa.Table.from_batches([interactions_of(batch) for batch in events.kept.batches])
        findings += about_nobodies("interactions.query_id", log.query_id, kept["query"])
        candidates = pa.chunked_array([events.ids.take(kept["candidate"].combine_chunks())])
        findings += about_nobodies("interactions.candidate_id", log.candidate_id, candidates, alone=False)
        queries = pc.unique(kept["query"])
        findings += about_id_forms("interactions.query_id", log.query_id, queries)
        findings += about_id_forms("interactions.candidate_id", log.candidate_id, events.ids)
        for name in log.context:
            place = "timestamp" if name == log.timestamp.column else context_field(name)
            columns.append((INTERACTIONS, name, kept[place]))
        for key, column in (("position", log.position), ("propensity", log.propensity)):
            if column:
                fact, found = shown_facts(key, column, kept[key])
                facts.append(fact)
                findings += found
    declared = {
        INTERACTIONS: log.context,
        CANDIDATES: domain.candidates.features,
        QUERIES: domain.queries.features if domain.queries else {},
    }
    for table, name, values in columns:
        fact, found = feature_facts(table, name, declared[table][name], values)
        facts.append(fact)
        findings += found
    return facts, findings


def _anomalies(
    domain: Domain,
    schemas: tuple[schema_pb2.Schema | None, schema_pb2.Schema | None],
    reference: Reference,
    events: Events | None,
) -> list[Finding]:
    """Values that schemas or ``distributions`` do not allow, as far as there are values."""
    from pipeline.check_data.schema_anomalies import (
        LOOKED_AT,
        candidate_anomalies,
        interaction_anomalies,
        interaction_statistics,
    )
    from pipeline.check_data.skew import about_skew

    declaration, found = domain.declaration, []
    of_interactions, of_candidates = schemas
    if events is not None and events.divided is not None:
        plan, cuts = InteractionPlan.of(declaration), events.divided.cuts
        statistics = interaction_statistics(plan, events.ids, events.kept, reference.queries, cuts)
        if of_interactions is not None:
            known = told(of_interactions, interaction_features(declaration))
            anomalies = interaction_anomalies(of_interactions, plan, statistics)
            found += [finding for feature, finding in anomalies if feature not in known]
        found += about_skew(
            domain.distributions, statistics, whole=events.kept.whole and events.kept.rows <= LOOKED_AT
        )
    if of_candidates is not None and reference.catalogue is not None:
        known = told(of_candidates, candidate_features(declaration))
        anomalies = candidate_anomalies(of_candidates, reference.catalogue, domain.catalogue_files)
        found += [finding for feature, finding in anomalies if feature not in known]
    return found
