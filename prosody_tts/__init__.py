"""Representations of prosody, predicted from text by different priors, compared on the same data."""

__version__ = "0.1.0"
