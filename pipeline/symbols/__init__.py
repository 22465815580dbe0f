"""What a name means: normal forms, how each provider spells them, and who says so.

What belongs here: names. Not here: the lists themselves (`pipeline.providers`, `pipeline.store`).
"""
