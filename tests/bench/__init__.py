"""auditlake against the best that can be written by hand with DuckDB or Polars: ``python -m tests.bench``.

Every run is a process of its own that has done the same work once on a small lake (so imports, compiled policies and
thread pools do not count), on files that are in the page cache, with connections of its own. Ours and its rival take
turns; what counts is the median of the ratios of the pairs, which says the same on a fast machine and on a slow one.
Before anything is timed, ours and every way to write its rival have run once and have given the same answer, and the
fastest way has become the rival.
"""
