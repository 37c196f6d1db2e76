"""The tables of the page on OCSF, as the statements have them: ``python -m tests.export.tables`` prints them."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from auditlake.engine.statements import statements

SEVERITIES = ("Unknown", "Informational", "Low", "Medium", "High", "Critical")


def tables() -> duckdb.DuckDBPyConnection:
    """A DuckDB with the tables of the export."""
    connection = duckdb.connect()
    for each in statements("export/ocsf_tables.sql").values():
        connection.execute(each.text)
    return connection


def markdown(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table of a page."""
    heads = list(headings)
    lines = [heads, ["---"] * len(heads), *([*map(str, row)] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---").replace("|--- |", "|---|")


def types_table() -> str:
    """Class, activity and severity of each event type."""
    query = """
        select '`' || event_type || '`', coalesce('`' || target_kind || '`', ''), coalesce(version, 'both'),
          class_uid || ' ' || class_name, activity_id, severity_id
        from ocsf_types join ocsf_classes using (class_uid)
        order by event_type, version nulls first, target_kind nulls first
    """
    rows = ((*row[:5], SEVERITIES[row[5]]) for row in tables().execute(query).fetchall())
    return markdown(("event type", "`target_kind`", "OCSF", "class", "activity", "severity"), rows)


def activities_table() -> str:
    """What the verb makes of the activity."""
    query = """
        select class_uid || ' ' || class_name,
          string_agg('`' || deed || '` ' || activity_id, ', ' order by activity_id, deed)
        from ocsf_activities join ocsf_classes using (class_uid) where activity_id <> 99 group by all order by all
    """
    return markdown(("class", "what was done, and its activity"), tables().execute(query).fetchall())


if __name__ == "__main__":
    print(types_table())
    print(activities_table())
