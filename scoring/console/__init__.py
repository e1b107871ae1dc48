"""The risk team's pages: what is decided, why, and by which policy, in a browser.

A process of its own, which knows the control plane by its HTTP API, the service by its
gRPC door, and the decisions by their topic. docs/decisions/console.md says why.
"""
