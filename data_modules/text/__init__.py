"""Text to sentences: words, pronunciation, tags, parse graph, word pieces and their BERT states.

``data_modules.text.analysis.TextAnalyser`` is the way in; nothing heavy is imported before it is needed.
"""
