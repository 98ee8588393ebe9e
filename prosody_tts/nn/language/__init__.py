"""Speech as language: a causal transformer over phones, characters and codes of speech."""
