"""Names that tables, pages and listening tests have in common."""

#: The speaker's own voice.
RECORDING = "recording"
