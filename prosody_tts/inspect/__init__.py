"""What a corpus and an utterance look like: figures, plots, pictures. ``inspect.build`` makes them all."""
