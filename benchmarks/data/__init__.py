"""Tasks: drawn or packaged data (`embedded`), folders that a user brings, and splits as streams of batches."""
