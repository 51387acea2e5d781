"""The installation: its links, its trial, and the guard that goes by them."""
