"""The pages of managed lists: entries, files, and until when a token is listed."""
