"""Frames as pages: Markdown, LaTeX, terminal."""
