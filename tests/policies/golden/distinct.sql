-- rolling_counts {'alert_threshold': 3, 'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'look_back': datetime.datetime(2026, 10, 24, 12, 0, tzinfo=datetime.timezone.utc), 'origin': datetime.datetime(2026, 10, 24, 0, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'span_us': 2851200000000, 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'window_us': 86400000000}
/* name: matching($types, $look_back, $until) */
/* The measure distinct: the matching events that are in a group and have a value. The slots are those of */
/* arrivals_by_group.sql, and `value_of_event`: the policy's `distinct`, or a list of several that is null where any is. */
CREATE OR REPLACE TEMPORARY TABLE matching AS
SELECT
  CASE
    WHEN NOT "user_id" IS NULL
    AND NOT TRY(CAST((
      details ->> '$.region'
    ) AS TEXT)) IS NULL
    THEN ["user_id", TRY(CAST((
        details ->> '$.region'
    ) AS TEXT))]
  END AS group_key,
  "ip_address" AS value,
  EPOCH_US("timestamp") AS t
FROM events
WHERE
  LIST_POSITION($types, event_type) > 0
  AND "timestamp" > $look_back
  AND "timestamp" <= $until
  AND COALESCE(TRY(TRUE), FALSE)
  AND NOT CASE
    WHEN NOT "user_id" IS NULL
    AND NOT TRY(CAST((
      details ->> '$.region'
    ) AS TEXT)) IS NULL
    THEN ["user_id", TRY(CAST((
        details ->> '$.region'
    ) AS TEXT))]
  END IS NULL
  AND NOT "ip_address" IS NULL;
-- policies/spans.sql: groups
-- policies/distinct.sql: different
-- policies/distinct.sql: valued
-- policies/distinct.sql: spans
-- policies/spans.sql: current_counts
-- policies/spans.sql: changes
-- policies/rolling_counts.sql: rises
-- policies/rolling_counts.sql: bounds
-- policies/rolling_counts.sql: episodes
-- policies/rolling_counts.sql: rolling_counts
-- policies/daily_peaks_long.sql: daily_peaks
-- policies/distinct.sql: evidence

-- threshold_totals {'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'window_start': datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.timezone.utc)}
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
    TRY(COALESCE(CAST(TRUE AS INT), 2)) AS verdict,
    NOT (
      CASE
        WHEN NOT "user_id" IS NULL
        AND NOT TRY(CAST((
          details ->> '$.region'
        ) AS TEXT)) IS NULL
        THEN ["user_id", TRY(CAST((
            details ->> '$.region'
        ) AS TEXT))]
      END
    ) IS NULL AS grouped,
    NOT (
      "ip_address"
    ) IS NULL AS valued,
    FALSE AS failed
  FROM events
  WHERE
    ARRAY_CONTAINS($types, event_type) AND "timestamp" > LEAST($since, $window_start)
);
-- policies/presence_now.sql: presence_now

-- required_types {'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc)}
-- policies/moments.sql: moments
-- policies/type_days.sql: type_days
-- policies/required_types.sql: required_types
-- policies/required_types.sql: type_day_counts
-- policies/required_types.sql: presence
-- policies/required_types.sql: first_event

-- retention {'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'cutoff': datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'type_cutoffs': [datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc), datetime.datetime(2026, 10, 25, 0, 0, tzinfo=datetime.timezone.utc)], 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc)}
-- policies/moments.sql: moments
-- policies/type_days.sql: type_days
-- policies/retention_by_day.sql: retention
