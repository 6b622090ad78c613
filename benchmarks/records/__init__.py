"""What was measured, on disk and as frames; never imports torch. The one door of `reports`."""
