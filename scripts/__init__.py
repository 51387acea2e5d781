"""Commands of the project; a package only so that tests can import what they do."""
