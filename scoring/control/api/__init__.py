"""The control plane over HTTP: who asks, what they may, and one problem a refusal."""
