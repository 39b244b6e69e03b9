"""The anatomy of the phantom: each file adds its organs to the scene."""
