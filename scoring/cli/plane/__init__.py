"""The commands of the risk team's plane: by its database here, or by its API."""
