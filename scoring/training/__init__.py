"""Offline: simulate, dataset, train, export, evaluate. Serving never imports it."""
