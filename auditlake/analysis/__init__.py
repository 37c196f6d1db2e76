"""Exploring: how policies stand, what other thresholds would give, what a policy would change, what is usual.

Hides the statements behind each answer.
The door: ``statistics.statistics``, ``backtest.backtest_lake``, ``policy_effect.policy_effect``.
Read first: ``backtest.py``.
"""
