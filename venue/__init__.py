"""A local HTTP venue that answers as Bitfinex, Binance, Kraken and Coinbase do.

Start it with `python -m venue --port 8765`, or from a test with `venue.VenueProcess`. It imports
nothing of the project's other packages, so that a misread wire format cannot cancel itself out.
"""

from venue.process import VenueProcess

__all__ = ["VenueProcess"]
