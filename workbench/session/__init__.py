"""What a person is doing: targets in a line-up, lanes that fill with an answer, a comparison that runs them.

No Textual and no network here: an engine comes in through a protocol, screens read snapshots. Decisions (lane states,
token estimates, titles, remedies) are pure functions and values; only `comparison` owns tasks.
"""
