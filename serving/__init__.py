"""Asking a pushed model for recommendations."""
