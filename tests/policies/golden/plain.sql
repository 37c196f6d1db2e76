-- rolling_counts {'alert_threshold': 3, 'look_back': datetime.datetime(2026, 10, 24, 12, 0, tzinfo=datetime.timezone.utc), 'origin': datetime.datetime(2026, 10, 24, 0, 0, tzinfo=datetime.timezone.utc), 'since': datetime.datetime(2026, 10, 25, 12, 0, tzinfo=datetime.timezone.utc), 'span_us': 2851200000000, 'types': ['auth_failure', 'login'], 'until': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'window_us': 86400000000}
-- policies/moments.sql: moments
-- policies/arrivals.sql: arrivals
-- policies/arrivals.sql: groups
-- policies/rolling_counts.sql: changes
-- policies/rolling_counts.sql: rises
-- policies/rolling_counts.sql: bounds
-- policies/rolling_counts.sql: episodes
-- policies/rolling_counts.sql: rolling_counts
-- policies/daily_peaks.sql: daily_peaks

-- threshold_totals {'alert_threshold': 3, 'as_of': datetime.datetime(2026, 11, 24, 12, 0, tzinfo=datetime.timezone.utc), 'types': ['auth_failure', 'login'], 'window_start': datetime.datetime(2026, 11, 23, 12, 0, tzinfo=datetime.timezone.utc)}
-- policies/moments.sql: moments
-- policies/threshold_totals_plain.sql: threshold_totals
-- policies/threshold_totals_plain.sql: current_counts
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
