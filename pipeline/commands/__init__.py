"""The `minuteledger` commands, one module each; `pipeline.cli` puts them together.

A module imports at its top only what `--help` needs: the rest costs every command its start.
"""
