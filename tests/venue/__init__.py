"""Tests of the local venue: real ccxt over HTTP, recorded answers, and the pure parts."""
