"""Checks that concern several keys, one file per subject; each yields one line per mistake."""
