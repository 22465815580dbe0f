"""Documents of fundamentals from the question to the past as it was known.

What belongs here: asking, keeping, reading again, accepting, taking out and in, and working out
what follows. What a document means is `pipeline.fundamentals`', SQL is `pipeline.store`'s.
"""
