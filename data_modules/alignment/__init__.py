"""Alignment: the best path through states, and times in seconds to whole frames."""
