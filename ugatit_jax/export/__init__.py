"""Trained generators in forms that others take: a folder to ship or publish with a model card, or a file in their format."""
