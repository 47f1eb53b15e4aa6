"""Trained generators in forms that others take: model_folder.py writes a folder to ship or publish, with a model card."""
