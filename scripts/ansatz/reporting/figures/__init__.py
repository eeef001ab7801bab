"""Figures of results: a module for each subject."""
