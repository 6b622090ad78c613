"""Images as splits: folders, decoding, batches."""
