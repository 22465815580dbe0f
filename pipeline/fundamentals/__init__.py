"""Fundamentals: what providers say about a company or a coin, and what follows from it.

What belongs here: how documents are read, judged and combined, as plain functions of what they say.
Asking for them is `pipeline.providers`', keeping them `pipeline.store`'s.
"""
