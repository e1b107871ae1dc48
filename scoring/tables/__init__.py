"""Tables of payments as people have them: one reader for every command."""
