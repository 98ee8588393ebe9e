"""From what a user writes to what they hear: text or SSML, controls, phones, a recording to copy; files out."""
