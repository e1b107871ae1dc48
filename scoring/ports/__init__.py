"""What the edge must satisfy, a file a port: `check.py` is what crosses them.

Every port has an in-memory twin in stores/memory/, and one contract suite in
tests/contract runs against both, role by role.
"""
