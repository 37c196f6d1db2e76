-- rolling_counts {'alert_threshold': 3, 'look_back': datetime.datetime(2026, 10, 24, 12, 0, tzinfo=datetime.timezone.utc), 'origin': datetime.datetime(2026, 10, 24, 0, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'span_us': 2851200000000, 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'window_us': 86400000000}
/* name: groups() */
/* Question 1, step 1a for any other policy: a table for its groups; step 1b fills it. */
/* The slot `key_of_group` is filled in the syntax tree with the policy's group_by column, or with a list of several that */
/* is null where any of them is. */
CREATE OR REPLACE TEMPORARY TABLE groups AS
SELECT
  CAST(0 AS BIGINT) AS g,
  CASE
    WHEN NOT "user_id" IS NULL AND NOT "ip_address" IS NULL
    THEN ["user_id", "ip_address"]
  END AS group_key
FROM events
LIMIT 0;
/* name: arrivals($types, $look_back, $until, $origin, $span_us) */
/* Step 1b: when each governed event begins to count in its group, in order. Group and time are one number: a group has */
/* $span_us microseconds since $origin to itself, more than until its last event is one window old. */
/* The slot `predicate` is filled with the policy's `where`; an error in it is no match. Events without a group are never */
/* pooled: null equals nothing. The files are read once, and what they give is kept until the groups are known, numbered */
/* from 0. */
CREATE OR REPLACE TEMPORARY TABLE arrivals AS
WITH governed AS MATERIALIZED (
  SELECT
    CASE
      WHEN NOT "user_id" IS NULL AND NOT "ip_address" IS NULL
      THEN ["user_id", "ip_address"]
    END AS group_key,
    EPOCH_US("timestamp") - EPOCH_US($origin) AS t
  FROM events
  WHERE
    LIST_POSITION($types, event_type) > 0
    AND "timestamp" > $look_back
    AND "timestamp" <= $until
    AND COALESCE(
      TRY(
        (
          (
            (
              status = 'failure'
            ) AND (
              NOT "action" IS NULL
            )
          )
        )
      ),
      FALSE
    )
), numbered AS (
  INSERT INTO groups
  SELECT
    ROW_NUMBER() OVER (ORDER BY group_key) - 1 AS g,
    group_key
  FROM (
    SELECT DISTINCT
      group_key
    FROM governed
    WHERE
      NOT group_key IS NULL
  )
  RETURNING g, group_key
)
SELECT
  CAST(numbered.g AS BIGINT) * $span_us + governed.t AS moment
FROM governed
JOIN numbered
  ON governed.group_key = numbered.group_key
ORDER BY
  moment;
-- policies/rolling_counts.sql: changes
-- policies/rolling_counts.sql: rises
-- policies/rolling_counts.sql: bounds
-- policies/rolling_counts.sql: episodes
-- policies/rolling_counts.sql: rolling_counts
-- policies/daily_peaks.sql: daily_peaks

-- threshold_totals {'alert_threshold': 3, 'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'window_start': datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.timezone.utc)}
/* name: threshold_totals($types, $since, $until, $as_of, $window_start) */
/* Question 1's plain counts: matching events of the last window, matching events without a group, events whose */
/* condition, or for matching ones a condition of the measure, could not be evaluated, governed events later than as_of, */
/* and matching events in a group that have no value to measure. The slots `has_value`, `has_failed` and `is_grouped` are */
/* filled by the measure. */
/* returns: recent_events, ungrouped_events, where_errors, future_events, valueless_events */
SELECT
  COUNT(*) FILTER(WHERE
    verdict = 1 AND "timestamp" > $window_start AND "timestamp" <= $as_of) AS recent_events,
  COUNT(*) FILTER(WHERE
    verdict = 1 AND NOT grouped AND "timestamp" > $since AND "timestamp" <= $until) AS ungrouped_events,
  COUNT(*) FILTER(WHERE
    (
      verdict IS NULL OR (
        verdict = 1 AND failed
      )
    )
    AND "timestamp" > $since
    AND "timestamp" <= $until) AS where_errors,
  COUNT(*) FILTER(WHERE
    "timestamp" > $as_of) AS future_events,
  COUNT(*) FILTER(WHERE
    verdict = 1
    AND grouped
    AND NOT valued
    AND "timestamp" > $since
    AND "timestamp" <= $until) AS valueless_events
FROM (
  /* The condition is evaluated once: 1 for a match, 0 for none, 2 for unknown, null for an error. */
  SELECT
    "timestamp",
    TRY(
      COALESCE(
        CAST((
          (
            (
              status = 'failure'
            ) AND (
              NOT "action" IS NULL
            )
          )
        ) AS INT),
        2
      )
    ) AS verdict,
    NOT (
      CASE
        WHEN NOT "user_id" IS NULL AND NOT "ip_address" IS NULL
        THEN ["user_id", "ip_address"]
      END
    ) IS NULL AS grouped,
    TRUE AS valued,
    FALSE AS failed
  FROM events
  WHERE
    ARRAY_CONTAINS($types, event_type) AND "timestamp" > LEAST($since, $window_start)
);
/* name: current_counts($types, $as_of, $window_start, $alert_threshold) */
/* The groups at or above the threshold at as_of itself. */
/* returns: group_key, events */
SELECT
  CASE
    WHEN NOT "user_id" IS NULL AND NOT "ip_address" IS NULL
    THEN ["user_id", "ip_address"]
  END AS group_key,
  COUNT(*) AS events
FROM events
WHERE
  ARRAY_CONTAINS($types, event_type)
  AND "timestamp" > $window_start
  AND "timestamp" <= $as_of
  AND COALESCE(
    TRY(
      (
        (
          (
            status = 'failure'
          ) AND (
            NOT "action" IS NULL
          )
        )
      )
    ),
    FALSE
  )
  AND NOT CASE
    WHEN NOT "user_id" IS NULL AND NOT "ip_address" IS NULL
    THEN ["user_id", "ip_address"]
  END IS NULL
GROUP BY ALL
HAVING
  COUNT(*) >= $alert_threshold
ORDER BY
  events DESC,
  group_key;
-- policies/presence_now.sql: presence_now

-- required_types {'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'max_gap_us': 21600000000, 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc)}
-- policies/moments.sql: moments
-- policies/type_days.sql: type_days
-- policies/required_types.sql: required_types
-- policies/required_types.sql: type_day_counts
-- policies/required_types.sql: coverage_gaps
-- policies/required_types.sql: presence
-- policies/required_types.sql: first_event

-- retention {'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'cutoff': datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'type_cutoffs': [datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc), datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc)], 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc)}
-- policies/moments.sql: moments
-- policies/type_days.sql: type_days
-- policies/retention_by_day.sql: retention
