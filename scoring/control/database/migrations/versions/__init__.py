"""One file a migration; `down_revision` chains them."""
