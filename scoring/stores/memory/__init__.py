"""The store and the log in this process's memory: the twins of the real ones."""
