"""Where images come from: a file for each kind of `data.source`, and open_source.py, which chooses."""
