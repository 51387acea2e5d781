"""An installation with a folder for each version: which one runs, which one is on trial, what came of it."""
