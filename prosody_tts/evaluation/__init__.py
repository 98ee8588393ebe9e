"""Measuring speech, metrics, statistics, and the rows of the table."""
