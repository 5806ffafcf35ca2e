"""Fixtures of the whole suite; those of one area stand beside its tests."""

pytest_plugins = ["tests.rig.fixtures"]
