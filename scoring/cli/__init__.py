"""The commands of `scoring`, one file a group."""
